//! The date of an answer (RFC 9110, section 5.6.7).

/// A date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// The date that is `seconds` after 1970 began. Years above 9999 are written as 9999.
    pub fn from_unix(seconds: u64) -> HttpDate {
        let day = seconds / 86_400;
        let (year, month, day_of_month) = civil(day);
        let mut date = *b"Thu, 00 Jan 0000 00:00:00 GMT";
        let weekday = (day + 4) as usize % 7 * 3;
        date[0..3].copy_from_slice(&b"SunMonTueWedThuFriSat"[weekday..weekday + 3]);
        let month = (month as usize - 1) * 3;
        date[8..11].copy_from_slice(&b"JanFebMarAprMayJunJulAugSepOctNovDec"[month..month + 3]);
        let year = year.min(9999);
        for (place, number) in [
            (5, day_of_month),
            (12, year / 100),
            (14, year % 100),
            (17, seconds / 3600 % 24),
            (20, seconds / 60 % 60),
            (23, seconds % 60),
        ] {
            date[place] = b'0' + (number / 10) as u8;
            date[place + 1] = b'0' + (number % 10) as u8;
        }
        HttpDate(date)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Year, month and day of the month of the day `day` of 1970: the calendar repeats every 400 years, and years that
/// begin in March have their leap day last (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day.saturating_add(719_468);
    let era = day / 146_097;
    let day_of_era = day % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(seconds: u64) -> String {
        String::from_utf8(HttpDate::from_unix(seconds).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn dates_are_written_as_rfc_9110_does() {
        assert_eq!(written(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(written(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(written(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(written(951_868_799), "Tue, 29 Feb 2000 23:59:59 GMT");
        assert_eq!(written(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(written(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }
}
