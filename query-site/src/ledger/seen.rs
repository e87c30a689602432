//! Verified coins that were asked for lately.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

/// Two generations: when the young one is full it becomes the old one, and what was not asked for meanwhile is gone.
pub struct Seen<K, V> {
    per_generation: usize,
    generations: Mutex<(HashMap<K, V>, HashMap<K, V>)>,
}

impl<K: Eq + Hash + Copy, V: Clone> Seen<K, V> {
    pub fn new(capacity: usize) -> Self {
        Seen { per_generation: (capacity / 2).max(1), generations: Mutex::default() }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.generations.lock().expect("no holder of the cache panics");
        if let Some(value) = generations.0.get(key) {
            return Some(value.clone());
        }
        let value = generations.1.remove(key)?;
        self.insert(&mut generations, *key, value.clone());
        Some(value)
    }

    pub fn put(&self, key: K, value: V) {
        let mut generations = self.generations.lock().expect("no holder of the cache panics");
        self.insert(&mut generations, key, value);
    }

    fn insert(&self, (young, old): &mut (HashMap<K, V>, HashMap<K, V>), key: K, value: V) {
        if young.len() >= self.per_generation && !young.contains_key(&key) {
            *old = std::mem::take(young);
        }
        young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_bound_holds() {
        let seen = Seen::new(8);
        for n in 0..100u32 {
            seen.put(n, n);
            assert_eq!(seen.get(&0), Some(0), "asked for all the time, at {n}");
            let generations = seen.generations.lock().unwrap();
            assert!(generations.0.len() + generations.1.len() <= 8);
        }
        assert_eq!(seen.get(&1), None);
    }
}
