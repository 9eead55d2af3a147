//! What each address has and does: connections, channels, and how often it opens connections and makes requests.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Rate};
use crate::budget::{Budget, Permit};

/// What one address may; `None` = no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressLimits {
    /// Connections a second that it may open.
    pub connection_rate: Option<NonZeroU64>,
    /// Requests a second that it may make.
    pub request_rate: Option<NonZeroU64>,
    /// Most connections at once.
    pub connections_max: Option<NonZeroU64>,
    /// Most channels at once that were created from it.
    pub channels_max: Option<NonZeroU64>,
}

/// Why an address is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressRefusal {
    /// It opens connections too often; not before `wait` is over it is let through again.
    ConnectsTooOften { wait: Duration },
    /// The same of requests.
    RequestsTooOften { wait: Duration },
    /// It has as many connections as it may.
    TooManyConnections,
    /// It has created as many channels as it may, and they are still there.
    TooManyChannels,
}

/// The state of all addresses, shared by the fronts. An address is an IPv4 address, or the first 64 bits of an IPv6 one:
/// a network of that size is what one customer gets.
#[derive(Clone, Debug)]
pub struct Addresses {
    limits: Limits,
    shared: Arc<Shared>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: Option<Rate>,
    requests: Option<Rate>,
    connections_max: Option<usize>,
    channels_max: Option<usize>,
}

#[derive(Debug)]
struct Shared {
    /// Keyed anew at each start, so that nobody can choose addresses that share a map.
    hasher: RandomState,
    maps: [Mutex<Map>; MAPS],
    /// For the addresses that no map has room for: they share one state until there is room.
    overflow: Mutex<Address>,
}

#[derive(Debug, Default)]
struct Map {
    /// At most [`MAP_LEN_MAX`].
    addresses: HashMap<Key, Address>,
    /// When those that need no state were last looked for; `None` = never.
    swept_at: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    V4(u32),
    /// The first half.
    V6(u64),
}

/// One address.
#[derive(Debug)]
struct Address {
    connecting: Bucket,
    requesting: Bucket,
    /// `None` = its connections are not counted.
    connections: Option<Budget>,
    channels: Option<Budget>,
}

impl Addresses {
    pub fn new(limits: AddressLimits) -> Addresses {
        let max = |max: Option<NonZeroU64>| max.map(|max| usize::try_from(max.get()).unwrap_or(usize::MAX));
        let limits = Limits {
            connections: limits.connection_rate.map(Rate::per_second),
            requests: limits.request_rate.map(Rate::per_second),
            connections_max: max(limits.connections_max),
            channels_max: max(limits.channels_max),
        };
        let shared = Shared {
            hasher: RandomState::new(),
            maps: std::array::from_fn(|_| Mutex::default()),
            overflow: Mutex::new(Address::new(limits)),
        };
        Addresses { limits, shared: Arc::new(shared) }
    }

    /// Counts a connection that `address` opens; the place among its connections, if they are counted.
    ///
    /// # Errors
    /// It has too many, or opens them too often.
    pub fn connect(&self, address: IpAddr, now: Instant) -> Result<Option<Permit>, AddressRefusal> {
        if self.limits.connections.is_none() && self.limits.connections_max.is_none() {
            return Ok(None);
        }
        self.with(address, now, |address| {
            // Before the rate: who has no place loses nothing by asking.
            let permit = match &address.connections {
                Some(places) => Some(places.take().ok_or(AddressRefusal::TooManyConnections)?),
                None => None,
            };
            take(&mut address.connecting, self.limits.connections, now)
                .map_err(|wait| AddressRefusal::ConnectsTooOften { wait })?;
            Ok(permit)
        })
    }

    /// Counts an attempt to connect on a connection that has its place.
    ///
    /// # Errors
    /// It connects too often.
    pub fn connect_again(&self, address: IpAddr, now: Instant) -> Result<(), AddressRefusal> {
        if self.limits.connections.is_none() {
            return Ok(());
        }
        self.with(address, now, |address| {
            take(&mut address.connecting, self.limits.connections, now)
                .map_err(|wait| AddressRefusal::ConnectsTooOften { wait })
        })
    }

    /// Counts a request that `address` makes.
    ///
    /// # Errors
    /// It makes them too often.
    pub fn request(&self, address: IpAddr, now: Instant) -> Result<(), AddressRefusal> {
        if self.limits.requests.is_none() {
            return Ok(());
        }
        self.with(address, now, |address| {
            take(&mut address.requesting, self.limits.requests, now)
                .map_err(|wait| AddressRefusal::RequestsTooOften { wait })
        })
    }

    /// The place for a channel that `address` creates, if they are counted.
    ///
    /// # Errors
    /// It has too many.
    pub fn create(&self, address: IpAddr, now: Instant) -> Result<Option<Permit>, AddressRefusal> {
        if self.limits.channels_max.is_none() {
            return Ok(None);
        }
        self.with(address, now, |address| match &address.channels {
            Some(places) => places.take().map(Some).ok_or(AddressRefusal::TooManyChannels),
            None => Ok(None),
        })
    }

    fn with<T>(&self, address: IpAddr, now: Instant, judge: impl FnOnce(&mut Address) -> T) -> T {
        let key = Key::of(address);
        let place = self.shared.hasher.hash_one(key) as usize % MAPS;
        let mut map = locked(&self.shared.maps[place]);
        match map.entry(key, self.limits, now) {
            Some(address) => judge(address),
            None => {
                drop(map);
                judge(&mut locked(&self.shared.overflow))
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shared.maps.iter().map(|map| locked(map).addresses.len()).sum()
    }
}

impl Map {
    /// The state of an address; `None` = it has none and there is no room.
    fn entry(&mut self, key: Key, limits: Limits, now: Instant) -> Option<&mut Address> {
        if self.addresses.len() >= MAP_LEN_MAX && !self.addresses.contains_key(&key) {
            // Not at every address that comes: looking through a map of addresses in use would cost more than it gives.
            if self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP_PAUSE) {
                return None;
            }
            self.swept_at = Some(now);
            self.addresses.retain(|_, address| address.is_in_use(now));
            if self.addresses.len() >= MAP_LEN_MAX {
                return None;
            }
        }
        Some(self.addresses.entry(key).or_insert_with(|| Address::new(limits)))
    }
}

impl Key {
    fn of(address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key::V4(address.to_bits()),
            IpAddr::V6(address) => Key::V6((address.to_bits() >> 64) as u64),
        }
    }
}

impl Address {
    fn new(limits: Limits) -> Address {
        Address {
            connecting: Bucket::default(),
            requesting: Bucket::default(),
            connections: limits.connections_max.map(Budget::new),
            channels: limits.channels_max.map(Budget::new),
        }
    }

    /// Whether it is anything else than a new one. Places are taken under the map's lock alone, so none is taken
    /// meanwhile.
    fn is_in_use(&self, now: Instant) -> bool {
        let has_places = |budget: &Option<Budget>| budget.as_ref().is_some_and(|budget| !budget.is_untouched());
        !self.connecting.is_full(now)
            || !self.requesting.is_full(now)
            || has_places(&self.connections)
            || has_places(&self.channels)
    }
}

/// # Errors
/// It comes too often; the time until it may again.
fn take(bucket: &mut Bucket, rate: Option<Rate>, now: Instant) -> Result<(), Duration> {
    rate.map_or(Ok(()), |rate| bucket.take(rate, now))
}

/// What a thread that panicked holding it has left is whole: no change to it takes two steps that belong together.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most addresses with a state of their own. Those beyond share one.
pub const ADDRESSES_MAX: usize = 65_536;

/// Fronts rarely meet in one of so many.
const MAPS: usize = 16;
const MAP_LEN_MAX: usize = ADDRESSES_MAX / MAPS;

/// How long a full map is left alone once it was looked through.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::super::bucket::BURST;
    use super::*;

    fn limits(connection_rate: u64, request_rate: u64, connections_max: u64, channels_max: u64) -> AddressLimits {
        AddressLimits {
            connection_rate: NonZeroU64::new(connection_rate),
            request_rate: NonZeroU64::new(request_rate),
            connections_max: NonZeroU64::new(connections_max),
            channels_max: NonZeroU64::new(channels_max),
        }
    }

    fn v4(bits: u32) -> IpAddr {
        Ipv4Addr::from_bits(bits).into()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_places_of_its_own_and_gets_them_back() {
        let (addresses, now) = (Addresses::new(limits(0, 0, 2, 1)), Instant::now());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = addresses.connect(one, now).unwrap();
        let _second = addresses.connect(one, now).unwrap();
        assert_eq!(addresses.connect(one, now).unwrap_err(), AddressRefusal::TooManyConnections);
        assert!(addresses.connect(other, now).is_ok());
        drop(first);
        assert!(addresses.clone().connect(one, now).is_ok(), "a front's clone counts the same");
        let channel = addresses.create(one, now).unwrap();
        assert_eq!(addresses.create(one, now).unwrap_err(), AddressRefusal::TooManyChannels);
        drop(channel);
        assert!(addresses.create(one, now).is_ok());
    }

    #[test]
    fn who_has_no_place_keeps_its_rate() {
        let (addresses, now) = (Addresses::new(limits(1, 0, 5, 0)), Instant::now());
        let one = address("192.0.2.1");
        let mut held: Vec<_> = (0..5).map(|_| addresses.connect(one, now).unwrap()).collect();
        assert_eq!(addresses.connect(one, now).unwrap_err(), AddressRefusal::TooManyConnections);
        held.clear();
        let wait = Duration::from_secs(1);
        assert_eq!(addresses.connect(one, now).unwrap_err(), AddressRefusal::ConnectsTooOften { wait });
        assert_eq!(
            addresses.connect(one, now).unwrap_err(),
            AddressRefusal::ConnectsTooOften { wait },
            "no place is lost"
        );
        assert!(addresses.connect(one, now + wait).is_ok());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address_and_mapped_addresses_are_ipv4() {
        let (addresses, now) = (Addresses::new(limits(0, 0, 1, 0)), Instant::now());
        let taken =
            ["2001:db8:0:1::1", "2001:db8:0:2::1", "192.0.2.1"].map(|text| addresses.connect(address(text), now));
        assert!(taken.iter().all(Result::is_ok));
        for text in ["2001:db8:0:1:ffff::", "2001:db8:0:2::2", "::ffff:192.0.2.1"] {
            assert!(addresses.connect(address(text), now).is_err(), "{text}");
        }
        assert!(addresses.connect(address("::ffff:192.0.2.2"), now).is_ok());
    }

    #[test]
    fn without_limits_nothing_is_kept() {
        let (addresses, now) = (Addresses::new(AddressLimits::default()), Instant::now());
        for bits in 0..1000 {
            assert!(addresses.connect(v4(bits), now).unwrap().is_none());
            assert!(addresses.request(v4(bits), now).is_ok());
            assert!(addresses.create(v4(bits), now).unwrap().is_none());
        }
        assert_eq!(addresses.len(), 0);
    }

    #[test]
    fn the_state_is_bounded_and_the_addresses_beyond_share_one() {
        let (addresses, start) = (Addresses::new(limits(0, 1, 1, 0)), Instant::now());
        let held: Vec<_> = (0..2 * ADDRESSES_MAX as u32).map(|bits| addresses.connect(v4(bits), start)).collect();
        // Each map is full, and one more has got the place of the shared state.
        assert_eq!(addresses.len(), ADDRESSES_MAX);
        assert_eq!(held.iter().filter(|held| held.is_ok()).count(), ADDRESSES_MAX + 1);
        // Those that have a state of their own are judged by it, whatever the others do.
        let last = 2 * ADDRESSES_MAX as u32;
        let refused = (last..last + 100).filter(|bits| addresses.request(v4(*bits), start).is_err()).count();
        assert_eq!(refused, 95, "a bucket of five for all of them");
        assert!(addresses.request(v4(0), start).is_ok());

        // In use they stay; given back they make room for others.
        let later = start + BURST;
        assert!(addresses.request(v4(last), later).is_ok());
        assert_eq!(addresses.len(), ADDRESSES_MAX);
        drop(held);
        let later = later + BURST;
        for bits in last..last + 1000 {
            assert!(addresses.connect(v4(bits), later).is_ok());
        }
        assert!(addresses.len() <= 1000, "{} are left", addresses.len());
    }

    proptest! {
        /// However it is used, the places taken are those not given back, and a state that is thrown away is one that a
        /// new one equals.
        #[test]
        fn places_are_counted_exactly(steps in prop::collection::vec((0_u32..4, 0_usize..3, any::<bool>()), 1..200)) {
            let (addresses, now) = (Addresses::new(limits(0, 0, 3, 0)), Instant::now());
            let mut held: Vec<Vec<Permit>> = (0..4).map(|_| Vec::new()).collect();
            for (bits, at, takes) in steps {
                let of_address = &mut held[bits as usize];
                if takes {
                    match addresses.connect(Ipv6Addr::from_bits(u128::from(bits) << 64 | at as u128).into(), now) {
                        Ok(permit) => of_address.extend(permit),
                        Err(_) => prop_assert_eq!(of_address.len(), 3),
                    }
                    prop_assert!(of_address.len() <= 3);
                } else if at < of_address.len() {
                    of_address.swap_remove(at);
                }
            }
        }
    }
}
