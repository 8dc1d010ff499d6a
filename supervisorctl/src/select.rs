//! What a name on the command line means: a service, its instances, a group, a glob, or all.

use supervisor_api::{Service, pattern};

/// A name that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown<'a> {
    /// No such service.
    Process(&'a str),
    /// No such group: the part in front of `:` or `:*`.
    Group(&'a str),
}

/// The services that `name` means, sorted by name as `services` is.
///
/// - `all`: every service
/// - `web`: the service, or its instances `web@…`, or the members of that group
/// - `group:*`, `group:`: the members; a service alone is a group of its own, as in Supervisor
/// - `group:web`: a member of it; `web` may be a glob
/// - a glob (`*`, `?`, `[…]`): what it matches
pub(crate) fn resolve<'a, 's>(
    name: &'a str,
    services: &'s [Service],
) -> Result<Vec<&'s Service>, Unknown<'a>> {
    if name == "all" {
        return Ok(services.iter().collect());
    }
    let found = |test: &dyn Fn(&Service) -> bool| {
        let found: Vec<&Service> = services.iter().filter(|service| test(service)).collect();
        Some(found).filter(|found| !found.is_empty())
    };
    if let Some(exact) = found(&|service| service.name == name) {
        return Ok(exact);
    }
    match name.rsplit_once(':') {
        Some((group, "" | "*")) => {
            found(&|service| is_in(group, service)).ok_or(Unknown::Group(group))
        }
        Some((group, member)) => {
            found(&|service| is_in(group, service) && is_named(member, service))
                .ok_or(Unknown::Process(name))
        }
        None => found(&|service| is_named(name, service))
            .or_else(|| found(&|service| is_in(name, service)))
            .ok_or(Unknown::Process(name)),
    }
}

/// Without its instance, by full name, or as a glob says.
fn is_named(name: &str, service: &Service) -> bool {
    service.name == name || base(service) == name || pattern::matches(name, &service.name)
}

fn is_in(group: &str, service: &Service) -> bool {
    service.groups.iter().any(|of| of == group) || service.name == group || base(service) == group
}

/// The name without `@instance`.
fn base(service: &Service) -> &str {
    let end = service.instance.as_ref().map(|instance| format!("@{instance}"));
    end.and_then(|end| service.name.strip_suffix(&end)).unwrap_or(&service.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::service;

    fn resolved(name: &str) -> Result<Vec<String>, Unknown<'_>> {
        let mut services = ["api", "db", "web@1", "web@2"].map(service);
        services[0].groups = vec!["front".into()];
        services[2].groups = vec!["front".into()];
        services[2].instance = Some("1".into());
        services[3].instance = Some("2".into());
        resolve(name, &services)
            .map(|found| found.iter().map(|service| service.name.clone()).collect())
    }

    #[test]
    fn names_groups_and_globs_mean_services() {
        for (name, expected) in [
            ("all", vec!["api", "db", "web@1", "web@2"]),
            ("db", vec!["db"]),
            ("web", vec!["web@1", "web@2"]),
            ("web@2", vec!["web@2"]),
            ("web:*", vec!["web@1", "web@2"]),
            ("front", vec!["api", "web@1"]),
            ("front:*", vec!["api", "web@1"]),
            ("front:", vec!["api", "web@1"]),
            ("front:api", vec!["api"]),
            ("front:web", vec!["web@1"]),
            ("front:w*", vec!["web@1"]),
            ("db:db", vec!["db"]),
            ("db:", vec!["db"]),
            ("*b*", vec!["db", "web@1", "web@2"]),
            ("web@[2-9]", vec!["web@2"]),
        ] {
            assert_eq!(resolved(name).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn unknown_names_say_whether_a_group_was_meant() {
        assert_eq!(resolved("x"), Err(Unknown::Process("x")));
        assert_eq!(resolved("x*"), Err(Unknown::Process("x*")));
        assert_eq!(resolved("front:db"), Err(Unknown::Process("front:db")));
        assert_eq!(resolved("x:*"), Err(Unknown::Group("x")));
        assert_eq!(resolved("x:"), Err(Unknown::Group("x")));
        assert_eq!(resolved(""), Err(Unknown::Process("")));
    }
}
