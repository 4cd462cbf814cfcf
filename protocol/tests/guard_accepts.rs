//! What the guard lets through: every body that the codec crate reads to its end, for every API and version.

mod request_bodies;

use bytes::{Bytes, BytesMut};
use protocol::guard;
use protocol::layout::Layout;
use protocol::layouts::{ALL, layout};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{FetchRequest, JoinGroupRequest, MetadataRequest};
use protocol::{Encodable, Message, StrBytes};
use request_bodies::codec;
use request_bodies::generate::{Random, body};

fn each_version(mut visit: impl FnMut(&'static Layout, i16)) {
    for layout in ALL {
        for version in layout.versions.0..=layout.versions.1 {
            visit(layout, version);
        }
    }
}

#[test]
fn layouts_have_the_versions_and_flexible_versions_of_the_codec() {
    for layout in ALL {
        assert_eq!(layout.versions, codec::versions(layout.api_key), "{}", layout.name);
    }
    each_version(|layout, version| {
        let flexible = codec::header_version(layout.api_key, version) == 2;
        assert_eq!(layout.is_flexible(version), flexible, "{} v{version}", layout.name);
    });
}

#[test]
fn random_valid_bodies_pass_the_guard_and_the_codec_reads_them_to_the_last_byte() {
    each_version(|layout, version| {
        for seed in 0..60 {
            let body = Bytes::from(body(layout, version, &mut Random::new(seed), None).bytes);
            let what = format!("{} v{version} seed {seed}", layout.name);
            assert_eq!(codec::decode(layout.api_key, version, body.clone()), Some(0), "{what}");
            assert_eq!(guard::check(layout, version, &body), Ok(()), "{what}");
        }
    });
}

#[test]
fn default_requests_written_by_the_codec_pass() {
    let mut written = 0;
    each_version(|layout, version| {
        let Some(body) = codec::default_body(layout.api_key, version) else { return };
        written += 1;
        assert_eq!(guard::check(layout, version, &body), Ok(()), "{} v{version}", layout.name);
    });
    assert!(written > 200, "only {written} defaults could be written");
}

/// Encodes `request(version)` with the codec in each of its versions and shows it to the guard.
fn passes_in_every_version<R: Encodable + Message>(api_key: i16, request: impl Fn(i16) -> R) {
    let layout = layout(api_key).expect("a client API");
    for version in R::VERSIONS.min..=R::VERSIONS.max {
        let mut body = BytesMut::new();
        request(version).encode(&mut body, version).expect("only fields of that version are set");
        assert_eq!(guard::check(layout, version, &body), Ok(()), "{} v{version}", layout.name);
    }
}

#[test]
fn fetch_of_a_follower_with_every_tagged_field_passes() {
    passes_in_every_version(1, |version| {
        let mut partition = FetchPartition::default().with_partition(3).with_fetch_offset(1 << 40);
        let mut topic = FetchTopic::default();
        let mut forgotten = ForgottenTopic::default().with_partitions(vec![1, 2, 3]);
        let mut request = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1);
        if version <= 12 {
            topic = topic.with_topic(StrBytes::from_static_str("orders").into());
            forgotten = forgotten.with_topic(StrBytes::from_static_str("payments").into());
        }
        if version >= 12 {
            partition = partition.with_last_fetched_epoch(4);
            request = request.with_cluster_id(Some(StrBytes::from_static_str("a-cluster")));
        }
        if version >= 15 {
            let state = ReplicaState::default().with_replica_id(2.into()).with_replica_epoch(9);
            request = request.with_replica_state(state);
        }
        if version >= 17 {
            partition = partition.with_replica_directory_id(uuid::Uuid::from_u128(5));
        }
        if version >= 18 {
            partition = partition.with_high_watermark(77);
        }
        if version >= 7 {
            request = request.with_session_id(5).with_forgotten_topics_data(vec![forgotten]);
        }
        request.with_topics(vec![topic.with_partitions(vec![partition.clone(), partition])])
    });
}

#[test]
fn metadata_for_named_topics_passes() {
    passes_in_every_version(3, |_| {
        let name = StrBytes::from_static_str("orders").into();
        let topic = MetadataRequestTopic::default().with_name(Some(name));
        MetadataRequest::default().with_topics(Some(vec![topic.clone(), topic]))
    });
}

#[test]
fn join_of_a_static_member_with_two_protocols_passes() {
    passes_in_every_version(11, |version| {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from_static(b"\x00\x01\x00\x00\x00\x00"));
        let instance = (version >= 5).then(|| StrBytes::from_static_str("instance-1"));
        JoinGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("group").into())
            .with_session_timeout_ms(45_000)
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_group_instance_id(instance)
            .with_protocols(vec![protocol.clone(), protocol])
    });
}
