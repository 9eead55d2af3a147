//! The values of a label, as an enum: none can be forgotten, and each has one name.

/// Declares an enum of label values, with all of them in order and the name of each.
macro_rules! label_values {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name {
            $($(#[$doc])* $value,)+
        }

        impl $name {
            pub const ALL: [$name; [$($text),+].len()] = [$($name::$value),+];

            /// The value of the label.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$value => $text,)+
                }
            }
        }
    };
}

pub(super) use label_values;

#[cfg(test)]
mod tests {
    use super::super::{Closing, Refusal};

    #[test]
    fn values_stand_at_their_places_and_have_names_of_their_own() {
        let mut names: Vec<_> = Refusal::ALL.iter().map(|value| value.name()).collect();
        assert!(Refusal::ALL.iter().enumerate().all(|(at, value)| *value as usize == at));
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Refusal::ALL.len());
        assert!(Closing::ALL.iter().enumerate().all(|(at, value)| *value as usize == at));
    }
}
