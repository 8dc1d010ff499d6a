//! The tags by which the processes of services are found, also after they have left everything
//! else behind.

use supervisor_engine::ServiceId;

/// Room for all services, with the bit that tells them from their companions.
const SERVICE_BITS: u32 = 24;

/// One tag for each service, and one for its companion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tags {
    base: u64,
}

impl Tags {
    /// Tags that no other daemon has. Those of a daemon that is itself supervised by one are lower
    /// than its own tag, since without privilege a tag can only be lowered.
    pub(crate) fn new() -> Self {
        const HIGHEST: u64 = 1 << 56;
        // A pid has 22 bits at most.
        Self { base: HIGHEST - (u64::from(std::process::id()) << SERVICE_BITS) }
    }

    /// What all processes of this service are started with.
    pub(crate) fn of(self, id: ServiceId) -> u64 {
        self.base + 2 * u64::from(id.service().0) + u64::from(id.is_companion())
    }

    /// The service, or companion, whose processes are started with this tag, if it is one of ours.
    pub(crate) fn service(self, tag: u64) -> Option<ServiceId> {
        let number = tag.checked_sub(self.base).filter(|number| number >> SERVICE_BITS == 0)?;
        let id = ServiceId(u32::try_from(number / 2).ok()?);
        Some(if number % 2 == 0 { id } else { id.companion() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_leads_back_to_its_service_and_foreign_ones_to_none() {
        let tags = Tags::new();
        for id in [ServiceId(0), ServiceId(7), ServiceId((1 << (SERVICE_BITS - 1)) - 1)] {
            for unit in [id, id.companion()] {
                assert_eq!(tags.service(tags.of(unit)), Some(unit));
            }
        }
        for foreign in [0, tags.base - 1, tags.base + (1 << SERVICE_BITS), u64::MAX] {
            assert_eq!(tags.service(foreign), None);
        }
    }
}
