//! Which containers are the replicas of a service, and under which name.

use std::collections::BTreeMap;

use crate::domain::{Clean, Container, ContainerState, Fault, FaultKind};
use crate::probe::roster::Roster;

/// Compose marks what `compose run` started; such a container answers no requests.
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// The running replicas of a service, by name.
pub(super) fn running(roster: &Roster, service: &str) -> Vec<Container> {
    let mut all: Vec<Container> = roster
        .borrow()
        .iter()
        .filter(|c| c.service == *service && c.state == ContainerState::Running && !is_one_off(c))
        .cloned()
        .collect();
    all.sort_by_cached_key(Container::replica);
    all
}

fn is_one_off(container: &Container) -> bool {
    let label = container.labels.get(ONE_OFF);
    label.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Names that more than one container claims, with the fault to show at each. They are shown apart and not counted.
pub(super) fn conflicts(containers: &[Container]) -> BTreeMap<Clean, Fault> {
    let mut owners: BTreeMap<Clean, Vec<&str>> = BTreeMap::new();
    for container in containers {
        owners
            .entry(container.replica())
            .or_default()
            .push(container.id.short());
    }
    owners
        .into_iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|(name, ids)| {
            let text = format!(
                "{} containers are named {name}: {}",
                ids.len(),
                ids.join(", ")
            );
            (name, Fault::new(FaultKind::Garbled, text))
        })
        .collect()
}

pub(super) fn none_running(service: &str) -> Fault {
    Fault::new(
        FaultKind::Missing,
        format!("no running container of {service} is known"),
    )
    .remedy("start the service, or check its name in the configuration")
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Address, CheckState, ContainerId, Drift, Image, Limits, Port, Timestamp};
    use crate::probe::roster::RosterSender;

    /// A running container of `server` that has been there for ever.
    pub(crate) fn replica(id: &str, number: u32, ip: &str) -> Container {
        Container {
            id: ContainerId(Clean::from(id)),
            name: Clean::from(format!("lab-server-{number}")),
            project: Clean::from("lab"),
            service: Clean::from("server"),
            number: Some(number),
            state: ContainerState::Running,
            check: CheckState::Healthy,
            check_streak: 0,
            check_log: Vec::new(),
            check_command: Clean::default(),
            restarts: 0,
            exit_code: None,
            oom_killed: false,
            error: Clean::default(),
            created_at: None,
            started_at: Some(Timestamp(0)),
            finished_at: None,
            image: Image::default(),
            drift: Drift::Same,
            addresses: vec![Address {
                network: Clean::from("lab_default"),
                ip: Clean::from(ip),
            }],
            ports: Vec::<Port>::new(),
            mounts: Vec::new(),
            labels: BTreeMap::new(),
            limits: Limits::default(),
            restart_policy: Clean::default(),
            user: Clean::default(),
            pid: None,
        }
    }

    pub(crate) fn roster(all: Vec<Container>) -> (RosterSender, Roster) {
        tokio::sync::watch::channel(Arc::from(all))
    }

    #[test]
    fn only_running_replicas_of_the_service_count() {
        let mut stopped = replica("b", 2, "10.0.0.2");
        stopped.state = ContainerState::Exited;
        let mut job = replica("c", 3, "10.0.0.3");
        job.labels.insert(Clean::from(ONE_OFF), Clean::from("True"));
        let mut other = replica("d", 4, "10.0.0.4");
        other.service = Clean::from("client");
        let all = vec![stopped, job, other, replica("a", 1, "10.0.0.1")];
        let (_sender, roster) = roster(all);
        let found = running(&roster, "server");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].replica(), "server-1");
    }

    #[test]
    fn a_name_with_two_owners_is_a_conflict() {
        let all = [
            replica("aaaa", 1, "10.0.0.1"),
            replica("bbbb", 1, "10.0.0.2"),
            replica("cccc", 2, "10.0.0.3"),
        ];
        let found = conflicts(&all);
        assert_eq!(found.len(), 1);
        let fault = &found[&Clean::from("server-1")];
        assert!(fault.text.contains("aaaa, bbbb"), "{fault}");
    }
}
