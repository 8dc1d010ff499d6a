//! What a spec was made from, to make it again with other numbers of instances.

use std::path::PathBuf;
use std::sync::Arc;

use super::fault::Faults;
use super::instances::Counts;
use super::load::{LoadOptions, assemble};
use super::sections::Sections;
use super::source::Sources;
use super::{Config, LoadError};

/// The text of a spec as it was read, whatever becomes of its files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recipe(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    options: LoadOptions,
    spec_dir: PathBuf,
    sections: Sections,
    sources: Sources,
}

impl Recipe {
    pub(super) fn new(
        options: LoadOptions,
        spec_dir: PathBuf,
        sections: Sections,
        sources: Sources,
    ) -> Self {
        Self(Arc::new(Parts { options, spec_dir, sections, sources }))
    }

    /// The same spec where these services have so many instances. Accounts and environment files
    /// are looked up again, so this may take a while.
    ///
    /// # Errors
    /// Everything that is wrong with the spec then.
    pub fn with(&self, counts: &Counts) -> Result<Config, LoadError> {
        let Parts { options, spec_dir, sections, sources } = &*self.0;
        let faults = Faults::default();
        let config = assemble(options, spec_dir, sections, sources, false, counts, &faults);
        faults.finish(sources, config)
    }
}
