//! How RocksDB is told to keep us: durable first, then bounded in memory, then fast.
//!
//! **After a crash.** A batch is one record of the write-ahead log, and the end of that log is torn whenever a process or a
//! machine dies in the middle of a write. `AbsoluteConsistency` refuses to open after any such death, a `kill -9` included;
//! `TolerateCorruptedTail` does after a power cut that wrote later pages before earlier ones. `PointInTime` goes back to the last
//! whole record, which is right for a write that never returned and wrong for one that did. [`crate::witness`] tells the two
//! apart, and the ledger's tip must be proved by its certificate besides.
//!
//! **Memory**, for one node with 10^6 coins and more (≤ 600 MiB resident in all, `node` included):
//!
//! | what | bound, MiB |
//! |---|---|
//! | block cache, with the index and filter blocks of every file (10 bits a key: 1.2 MB per 10^6 rows and column) | 128 |
//! | memtables of all columns together, and as much again while they are flushed | 64 + 32 |
//! | two background jobs, reading ahead 2 MiB from ≤ 10 files and writing 1 MiB at a time | 25 |
//! | a commit's batch of 5,000 envelopes at 250 bytes, its copy in the log's buffer | 4 |
//! | table readers, files' metadata at ≤ 512 open files | 10 |
//! | coins that changed since their file was written, thrice while the next is; the file's index, 4 for 10^7 coins | 151 |
//! | in all | ≈ 415 |
//!
//! A state that is being hashed takes as much of coins for as long as its file is written.
//!
//! Private databases of roles are small: [`Memory::SMALL`] bounds one to ≈ 40 MiB.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Options, WriteOptions};

use crate::columns::{ColumnSpec, Keys};

/// What a database may hold in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub block_cache_bytes: usize,
    /// Of all columns together, not yet flushed.
    pub write_buffers_bytes: usize,
    /// Of coins since their file was written, at the most: 49 bytes each, and thrice that while the next is written. A ledger's only.
    pub coin_changes: usize,
}

impl Memory {
    /// For the ledger: see the table above.
    pub const LEDGER: Memory =
        Memory { block_cache_bytes: 128 << 20, write_buffers_bytes: 64 << 20, coin_changes: 1 << 20 };
    /// For a role's private columns.
    pub const SMALL: Memory =
        Memory { block_cache_bytes: 16 << 20, write_buffers_bytes: 8 << 20, coin_changes: 1 << 17 };
}

/// A start replays what memtables had not flushed: ≤ 256 MiB of log, about two seconds.
const LOG_BYTES_MAX: u64 = 256 << 20;

pub(crate) fn database(memory: Memory) -> Options {
    let mut options = Options::default();
    // A new version may have a new column; a database that should be there is never made anew.
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A log file that is closed must be found again whole.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_db_write_buffer_size(memory.write_buffers_bytes);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    // There is one writer: the memtables need no locks against others.
    options.set_allow_concurrent_memtable_write(false);
    options.set_enable_write_thread_adaptive_yield(false);
    // A compaction hands its pages to the disk as it goes, not in one burst in front of a commit's sync.
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

pub(crate) fn column(spec: &ColumnSpec, memory: Memory, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_format_version(6);
    let mut options = match spec.keys {
        // A height's rows go in sorted: each is looked for beside the one before it, not from the top of the memtable.
        // rust-rocksdb has no setter of its own for it.
        Keys::Random => Options::default()
            .get_options_from_string("memtable_insert_with_hint_prefix_extractor=fixed:1")
            .expect("RocksDB knows the option"),
        Keys::Ascending => Options::default(),
    };
    options.set_write_buffer_size(memory.write_buffers_bytes / 2);
    options.set_level_compaction_dynamic_level_bytes(true);
    match spec.keys {
        Keys::Random => {
            // Hashes do not compress, and a hash index in the block finds one without bisection.
            options.set_compression_type(DBCompressionType::None);
            blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            blocks.set_data_block_hash_ratio(0.75);
            // Most keys that are asked for are in no memtable.
            options.set_memtable_prefix_bloom_ratio(0.05);
            options.set_memtable_whole_key_filtering(true);
        }
        Keys::Ascending => {
            options.set_compression_type(DBCompressionType::Lz4);
            blocks.set_block_size(16 << 10);
        }
    }
    options.set_block_based_table_factory(&blocks);
    options
}

/// Returns from a write when it is on disk (one fdatasync).
pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
