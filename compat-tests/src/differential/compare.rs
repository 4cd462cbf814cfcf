//! Two answers, field by field. Elements of lists that have names are compared with those of the same name, so that one
//! more of them shifts nothing; their order is a field of its own, `topics.order`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::mask;

/// Lists that differ in length by more than this are one difference.
const MORE: usize = 3;

/// One field that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, such as `topics.0.errorCode`.
    pub path: String,
    /// What Kafka says there; `None` where it says nothing.
    pub kafka: Option<Value>,
    /// What Onelog says there.
    pub onelog: Option<Value>,
}

/// Every place where the two differ, as deep as they can be followed.
#[must_use]
pub fn differences(kafka: &Value, onelog: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("", Some(kafka), Some(onelog), &mut found);
    found
}

fn walk(path: &str, kafka: Option<&Value>, onelog: Option<&Value>, found: &mut Vec<Difference>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (kafka, onelog) {
        (Some(Value::Object(left)), Some(Value::Object(right)))
            if left.contains_key("_outcome") == right.contains_key("_outcome") =>
        {
            let names: BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for name in names {
                walk(&below(name), left.get(name), right.get(name), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right)))
            if left != right && named(left, right).is_some() =>
        {
            let (left, right) = named(left, right).expect("just seen");
            let names: BTreeSet<_> = left.keys().chain(right.keys()).copied().collect();
            for name in names {
                walk(&below(name), left.get(name).map(|at| at.1), right.get(name).map(|at| at.1), found);
            }
            let (left, right) = (common(&left, &right), common(&right, &left));
            if left != right {
                found.push(Difference { path: below("order"), kafka: Some(left), onelog: Some(right) });
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len().abs_diff(right.len()) > MORE => {
            let count = |list: &Vec<Value>| Some(Value::from(format!("{} elements", list.len())));
            found.push(Difference { path: path.to_owned(), kafka: count(left), onelog: count(right) });
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                walk(&below(&index.to_string()), left.get(index), right.get(index), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => {
            found.push(Difference { path: path.to_owned(), kafka: left.cloned(), onelog: right.cloned() })
        }
    }
}

/// Elements by their name, with their place in the list.
type Named<'a> = BTreeMap<&'a str, (usize, &'a Value)>;

/// Both lists by name, where every element has one and no name comes twice.
fn named<'a>(left: &'a [Value], right: &'a [Value]) -> Option<(Named<'a>, Named<'a>)> {
    let by_name = |list: &'a [Value]| -> Option<Named<'a>> {
        let names =
            list.iter().enumerate().map(|(place, element)| Some((mask::name(element)?, (place, element))));
        let names = names.collect::<Option<Named<'a>>>()?;
        (names.len() == list.len()).then_some(names)
    };
    Some((by_name(left)?, by_name(right)?))
}

/// The names of `list` that `other` has too, in the order of `list`.
fn common(list: &Named<'_>, other: &Named<'_>) -> Value {
    let mut names: Vec<_> = list.iter().filter(|(name, _)| other.contains_key(*name)).collect();
    names.sort_by_key(|(_, (place, _))| *place);
    names.into_iter().map(|(name, _)| Value::from(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_differing_leaf_is_named() {
        let kafka = json!({"a": [{"code": 3, "same": 1}, {"code": 0}], "only": 1});
        let onelog = json!({"a": [{"code": 0, "same": 1}]});
        let paths: Vec<_> = differences(&kafka, &onelog).into_iter().map(|each| each.path).collect();
        assert_eq!(paths, ["a.0.code", "a.1", "only"]);
        assert!(differences(&kafka, &kafka).is_empty());
    }

    #[test]
    fn elements_with_names_are_compared_by_name_and_their_order_on_its_own() {
        let kafka = json!([{"name": "a", "is": 1}, {"name": "b", "is": 2}]);
        let onelog = json!([{"name": "b", "is": 2}, {"name": "more", "is": 0}, {"name": "a", "is": 3}]);
        let paths: Vec<_> = differences(&kafka, &onelog).into_iter().map(|each| each.path).collect();
        assert_eq!(paths, ["a.is", "more", "order"]);
        assert_eq!(differences(&json!([{"name": "a"}, {"name": "a"}]), &json!([{"name": "a"}])).len(), 1);
    }

    #[test]
    fn a_closed_connection_is_one_difference() {
        let found = differences(&json!({"a": 1, "b": 2}), &json!({"_outcome": "closed"}));
        assert_eq!(found.len(), 1);
    }
}
