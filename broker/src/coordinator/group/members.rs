//! The members of one classic group, with the counts that decisions about it need.
//!
//! **Invariant:** the counts of waiting members and of protocol support, and the index of static members, always agree with
//! the members themselves; that is why fields that feed them are changed only here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::effect::WaiterId;
use super::event::Protocol;

/// One member (Kafka's `ClassicGroupMember`).
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) group_instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) assignment: Bytes,
    pub(super) awaiting_sync: Option<WaiterId>,
    /// Has not been through a rebalance: waiting does not keep it alive, because its client may be long gone.
    pub(super) is_new: bool,
    protocols: Vec<Protocol>,
    awaiting_join: Option<WaiterId>,
}

/// What a member brings that a later JoinGroup may change.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
}

impl Member {
    pub(super) fn new(
        id: Arc<str>,
        group_instance_id: Option<String>,
        client: (String, String),
        terms: Terms,
    ) -> Self {
        Self {
            id,
            group_instance_id,
            client_id: client.0,
            client_host: client.1,
            rebalance_timeout_ms: terms.rebalance_timeout_ms,
            session_timeout_ms: terms.session_timeout_ms,
            assignment: Bytes::new(),
            awaiting_sync: None,
            is_new: false,
            protocols: terms.protocols,
            awaiting_join: None,
        }
    }

    pub(super) const fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    pub(super) const fn awaiting_join(&self) -> Option<WaiterId> {
        self.awaiting_join
    }

    pub(super) const fn is_awaiting_join(&self) -> bool {
        self.awaiting_join.is_some()
    }

    pub(super) fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// A parked JoinGroup or SyncGroup is as good as a heartbeat.
    pub(super) const fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// The subscription for this protocol; empty if the member does not support it.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let supported = self.protocols.iter().find(|supported| Some(supported.name.as_str()) == protocol);
        supported.map_or_else(Bytes::new, |supported| supported.metadata.clone())
    }
}

/// The members, by id. Order is by id, so the same events always give the same effects.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
    static_members: BTreeMap<String, Arc<str>>,
    support: BTreeMap<String, usize>,
    awaiting_join: usize,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// Everything but what the counts depend on may be changed through it.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.by_id.values_mut()
    }

    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.by_id.keys().cloned().collect()
    }

    pub(super) const fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    pub(super) fn all_awaiting_join(&self) -> bool {
        self.awaiting_join == self.by_id.len()
    }

    /// Member id behind a static member's instance id.
    pub(super) fn static_member(&self, group_instance_id: &str) -> Option<&Arc<str>> {
        self.static_members.get(group_instance_id)
    }

    /// Adds a member; one of the same id or instance id is dropped, waiters and all.
    pub(super) fn insert(&mut self, member: Member) {
        self.remove(&member.id);
        if let Some(instance) = &member.group_instance_id {
            if let Some(previous) = self.static_members.get(instance).cloned() {
                self.remove(&previous);
            }
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        self.count(&member.protocols);
        self.awaiting_join += usize::from(member.is_awaiting_join());
        self.by_id.insert(member.id.clone(), member);
    }

    /// Takes a member out; whoever calls answers its waiters.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        self.discount(&member.protocols);
        self.awaiting_join -= usize::from(member.is_awaiting_join());
        if let Some(instance) = &member.group_instance_id {
            self.static_members.remove(instance);
        }
        Some(member)
    }

    pub(super) fn set_terms(&mut self, id: &str, terms: Terms) {
        let Some(member) = self.by_id.get_mut(id) else { return };
        member.rebalance_timeout_ms = terms.rebalance_timeout_ms;
        member.session_timeout_ms = terms.session_timeout_ms;
        let previous = std::mem::replace(&mut member.protocols, terms.protocols.clone());
        self.discount(&previous);
        self.count(&terms.protocols);
    }

    /// Parks a JoinGroup; returns the one that was parked before it.
    pub(super) fn park_join(&mut self, id: &str, waiter: WaiterId) -> Option<WaiterId> {
        let previous = self.by_id.get_mut(id)?.awaiting_join.replace(waiter);
        self.awaiting_join += usize::from(previous.is_none());
        previous
    }

    /// Takes the parked JoinGroup, to answer it.
    pub(super) fn take_join(&mut self, id: &str) -> Option<WaiterId> {
        let waiter = self.by_id.get_mut(id)?.awaiting_join.take();
        self.awaiting_join -= usize::from(waiter.is_some());
        waiter
    }

    /// Whether every member supports at least one of these protocols, the same for all.
    pub(super) fn all_support_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| self.supporters(&protocol.name) == self.by_id.len())
    }

    /// The protocol for the next generation: among those that all support, each member votes for the first on its list
    /// (Kafka's `ClassicGroup.selectProtocol`). Of equals the first by name.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.by_id.values() {
            let names = member.protocols.iter().map(|protocol| protocol.name.as_str());
            let vote = names.into_iter().find(|name| self.supporters(name) == self.by_id.len());
            *votes.entry(vote?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    fn supporters(&self, protocol: &str) -> usize {
        self.support.get(protocol).copied().unwrap_or(0)
    }

    fn count(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.support.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn discount(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.support.get_mut(&protocol.name) {
                *count -= 1;
            }
        }
        self.support.retain(|_, count| *count > 0);
    }
}
