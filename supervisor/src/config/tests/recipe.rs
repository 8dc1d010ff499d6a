//! A spec that is made again with other numbers of instances.

use super::{load_text, messages, options, service};
use crate::config::{Counts, Instances, MOST_INSTANCES, load};

fn counts(web: u32) -> Counts {
    Counts::from([("web".to_owned(), web)])
}

#[test]
fn new_instances_are_expanded_and_required_like_the_others() {
    let config = load_text(
        r#"
        [service.web]
        command = "web ${INSTANCE}"
        instances = 2
        [service.api]
        command = "api"
        requires = ["web"]"#,
    );
    let recipe = config.expect("it is right").recipe.expect("it can be scaled");
    let config = recipe.with(&counts(3)).expect("it is right");
    let web = service(&config, "web@3");
    assert_eq!(web.command.as_deref(), Some(&["web".to_owned(), "3".to_owned()][..]));
    assert_eq!(service(&config, "api").spec.dependencies.len(), 3);
    assert_eq!(config.instances["web"], Instances::Number(3));
    assert_eq!(config.groups["web"].members.len(), 3);
}

#[test]
fn the_files_are_not_read_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("spec.toml");
    let spec = "[service.web]\ncommand = \"web\"\ninstances = 2";
    std::fs::write(&path, spec).expect("it is written");
    let config = load(&options(directory.path(), "spec.toml")).expect("it is right");
    std::fs::remove_file(&path).expect("it was there");
    let recipe = config.recipe.expect("it can be scaled");
    assert_eq!(recipe.with(&counts(1)).expect("it is right").services.len(), 1);
}

#[test]
fn as_many_are_made_as_there_may_be() {
    let config = load_text("[service.web]\ncommand = \"web\"\ninstances = 2");
    let recipe = config.expect("it is right").recipe.expect("it can be scaled");
    let config = recipe.with(&counts(MOST_INSTANCES)).expect("it is right");
    assert_eq!(config.services.len(), MOST_INSTANCES as usize);
}

#[test]
fn what_is_wrong_with_another_number_is_told() {
    let config = load_text(
        r#"
        [service.web]
        command = "web"
        instances = 2
        [service.api]
        command = "api"
        after = ["web@2"]"#,
    );
    let recipe = config.expect("it is right").recipe.expect("it can be scaled");
    let told = messages(recipe.with(&counts(1)));
    assert_eq!(told, ["there is no service or group `web@2`"]);
}

#[test]
fn nothing_is_kept_of_a_spec_without_a_number() {
    for instances in ["", "instances = [\"blue\"]"] {
        let config = load_text(&format!("[service.web]\ncommand = \"web\"\n{instances}"));
        assert!(config.expect("it is right").recipe.is_none());
    }
}
