//! Unmasking (RFC 6455, section 5.3).

/// XORs `bytes` with the masking key, whose byte `phase % 4` belongs to the first of them.
pub(super) fn unmask(bytes: &mut [u8], key: [u8; 4], phase: usize) {
    let key = u32::from_ne_bytes([key[phase & 3], key[(phase + 1) & 3], key[(phase + 2) & 3], key[(phase + 3) & 3]]);
    let wide = (u64::from(key) << 32) | u64::from(key);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let value = u64::from_ne_bytes((&*word).try_into().expect("eight bytes"));
        word.copy_from_slice(&(value ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_phase_matches_the_definition() {
        let key = [0x11, 0x22, 0x33, 0x44];
        for len in 0..40 {
            for phase in 0..8 {
                let mut bytes: Vec<u8> = (0..len).collect();
                unmask(&mut bytes, key, phase);
                let expected: Vec<u8> = (0..len).map(|i| i ^ key[(usize::from(i) + phase) % 4]).collect();
                assert_eq!(bytes, expected, "length {len}, phase {phase}");
            }
        }
    }
}
