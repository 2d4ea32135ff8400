-- Chunks by time: a query for a span opens only those of the span, and a chunk's index stays small.
-- A partition is a UTC day, so a chunk of whole days never cuts one.

SELECT create_hypertable('order_book_deltas', by_range('received_time', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('order_book_seeds', by_range('received_time', INTERVAL '7 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('trades', by_range('received_time', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('best_quotes', by_range('received_time', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('order_book_levels', by_range('received_time', INTERVAL '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('order_book_snapshots', by_range('received_time', INTERVAL '7 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('funding_rates', by_range('received_time', INTERVAL '30 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('open_interest', by_range('received_time', INTERVAL '30 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('liquidations', by_range('received_time', INTERVAL '30 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('ohlcv', by_range('received_time', INTERVAL '30 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('quarantine', by_range('received_time', INTERVAL '30 days'),
                         create_default_indexes => false, migrate_data => true);
