//! A decoded Produce request shares the memory of its frame: records are slices, not copies.

use bytes::{Bytes, BytesMut};
use protocol::layouts::data::PRODUCE;
use protocol::messages::ProduceRequest;
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::{Decodable, Encodable, StrBytes, guard};

#[test]
fn records_of_a_decoded_produce_request_lie_in_the_frame() {
    let records = Bytes::from(vec![0x5a; 10_000]);
    for version in 3..=13 {
        let partition = PartitionProduceData::default().with_index(3).with_records(Some(records.clone()));
        let mut topic = TopicProduceData::default().with_partition_data(vec![partition]);
        if version < 13 {
            topic = topic.with_name(StrBytes::from_static_str("orders").into());
        }
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let mut frame = BytesMut::new();
        request.encode(&mut frame, version).unwrap();
        let frame = frame.freeze();
        guard::check(&PRODUCE, version, &frame).unwrap();

        let decoded = ProduceRequest::decode(&mut frame.clone(), version).unwrap();
        assert_eq!(decoded, request);
        let slice = decoded.topic_data[0].partition_data[0].records.as_ref().unwrap();
        assert!(frame.as_ptr_range().contains(&slice.as_ptr()), "v{version} copies the records");
    }
}
