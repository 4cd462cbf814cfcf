//! The order service against a real broker. Set-up is one line of `Shop::open`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Duration;

use onelog::TestBroker;
use orders::{Invoice, OrderService};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
/// A poll ends early when something else than a record happens.
const POLL: Duration = Duration::from_millis(100);
const POLLS: usize = 300;

struct Shop {
    broker: TestBroker,
}

impl Shop {
    fn open() -> Self {
        let topics = ["orders:3", "invoices", "orders.rejected"];
        Self { broker: TestBroker::builder().topics(topics).test_mode().start_blocking().unwrap() }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.bootstrap_servers()).set("group.id", "test");
        config
    }

    fn place(&self, orders: &[&str]) {
        let producer: BaseProducer = self.config().remove("group.id").create().unwrap();
        for order in orders {
            producer.send(BaseRecord::to("orders").key(*order).payload(*order)).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    }

    /// Runs a service until it has handled `orders`.
    fn serve(&self, orders: usize) {
        let service = OrderService::new(self.broker.bootstrap_servers()).unwrap();
        let handled = (0..POLLS).filter(|_| service.handle_next(POLL).unwrap()).take(orders).count();
        assert_eq!(handled, orders, "an order did not come");
    }

    /// The first `count` values of a topic of one partition.
    fn first(&self, topic: &str, count: usize) -> Vec<String> {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&place).unwrap();
        let records = (0..POLLS).filter_map(|_| consumer.poll(POLL)).take(count);
        let values: Vec<_> = records.map(|record| record.unwrap().payload().unwrap().to_vec()).collect();
        assert_eq!(values.len(), count, "a record did not come");
        values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
    }

    fn invoices(&self, count: usize) -> Vec<Invoice> {
        let mut invoices: Vec<Invoice> =
            self.first("invoices", count).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        invoices.sort_by(|left, right| left.order.cmp(&right.order));
        invoices
    }
}

fn invoice(order: &str, cents: u64) -> Invoice {
    Invoice { order: order.to_owned(), cents }
}

#[test]
fn each_order_gets_one_invoice() {
    let shop = Shop::open();
    shop.place(&[
        r#"{"id":"a","lines":[{"cents":250,"quantity":2},{"cents":100,"quantity":1}]}"#,
        r#"{"id":"b","lines":[{"cents":999,"quantity":1}]}"#,
    ]);
    shop.serve(2);
    assert_eq!(shop.invoices(2), [invoice("a", 600), invoice("b", 999)]);
}

#[test]
fn what_is_no_order_is_rejected_and_holds_nothing_up() {
    let shop = Shop::open();
    shop.place(&["no json", r#"{"id":"c","lines":[{"cents":5,"quantity":5}]}"#]);
    shop.serve(2);
    assert_eq!(shop.first("orders.rejected", 1), ["no json"]);
    assert_eq!(shop.invoices(1), [invoice("c", 25)]);
}

#[test]
fn service_that_comes_back_goes_on_where_it_was() {
    let shop = Shop::open();
    shop.place(&[r#"{"id":"first","lines":[{"cents":1,"quantity":1}]}"#]);
    shop.serve(1);
    shop.place(&[r#"{"id":"second","lines":[{"cents":2,"quantity":1}]}"#]);
    shop.serve(1);
    assert_eq!(shop.invoices(2), [invoice("first", 1), invoice("second", 2)]);
}

#[test]
fn invoice_whose_acknowledgement_is_lost_is_written_once() {
    let shop = Shop::open();
    let control =
        |method, path: &str, body: Option<&Value>| shop.broker.control_blocking(method, path, body).unwrap();
    let lost = json!({ "keys": ["Produce"], "topic": "invoices", "disconnect": true, "after_apply": true, "count": 1 });
    let fault = format!("/test/faults/{}", control("POST", "/test/faults", Some(&lost))["id"]);
    shop.place(&[
        r#"{"id":"a","lines":[{"cents":7,"quantity":1}]}"#,
        r#"{"id":"b","lines":[{"cents":8,"quantity":1}]}"#,
    ]);
    shop.serve(2);
    assert_eq!(control("GET", &fault, None)["hits"], 1);
    assert_eq!(shop.invoices(2), [invoice("a", 7), invoice("b", 8)]);
}
