-- Continuous aggregates: trade flow and book activity by minute, kept ready. `bucket` is the start of
-- the interval of received_time: what it says is known only at its end.
--
-- The policies look back three days. Rows written for earlier times are invisible here until their
-- span is refreshed: writers put it into `refreshes`, and who may (the owner) works that off.

-- A database that was another edition before has views of these names.
DROP VIEW IF EXISTS trade_flow_1h, trade_flow_1m, book_activity_1m, book_snapshots_1m;

CREATE MATERIALIZED VIEW trade_flow_1m
  WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 minute', received_time) AS bucket, symbol_id,
       first(price, row_no) AS open, max(price) AS high, min(price) AS low,
       last(price, row_no) AS close,
       sum(quantity) AS volume,
       coalesce(sum(quantity) FILTER (WHERE aggressor = 1), 0) AS buy_volume,
       coalesce(sum(quantity) FILTER (WHERE aggressor = -1), 0) AS sell_volume,
       sum(quantity * aggressor) AS net_flow,
       sum(price * quantity) AS notional,
       sum(price * quantity) / sum(quantity) AS vwap,
       count(*) AS trade_count,
       count(*) FILTER (WHERE aggressor = 1) AS buy_count,
       count(*) FILTER (WHERE aggressor = -1) AS sell_count
FROM trades GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW trade_flow_1h
  WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 hour', bucket) AS bucket, symbol_id,
       first(open, bucket) AS open, max(high) AS high, min(low) AS low,
       last(close, bucket) AS close,
       sum(volume) AS volume, sum(buy_volume) AS buy_volume, sum(sell_volume) AS sell_volume,
       sum(net_flow) AS net_flow, sum(notional) AS notional, sum(notional) / sum(volume) AS vwap,
       sum(trade_count)::bigint AS trade_count, sum(buy_count)::bigint AS buy_count,
       sum(sell_count)::bigint AS sell_count
FROM trade_flow_1m GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW book_activity_1m
  WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 minute', received_time) AS bucket, symbol_id,
       count(*) AS updates,
       count(*) FILTER (WHERE size = 0) AS deletes,
       count(*) FILTER (WHERE side_is_bid) AS bid_updates,
       min(sequence_number) AS first_sequence, max(sequence_number) AS last_sequence
FROM order_book_deltas GROUP BY 1, 2
WITH NO DATA;

-- Of books with two sides: NaN, greater than every number here, stands for a side that is empty.
CREATE MATERIALIZED VIEW book_snapshots_1m
  WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(INTERVAL '1 minute', received_time) AS bucket, symbol_id,
       first((bid_0_price + ask_0_price) / 2, row_no) AS mid_open,
       max((bid_0_price + ask_0_price) / 2) AS mid_high,
       min((bid_0_price + ask_0_price) / 2) AS mid_low,
       last((bid_0_price + ask_0_price) / 2, row_no) AS mid_close,
       avg(ask_0_price - bid_0_price) AS spread,
       avg((bid_0_size - ask_0_size) / nullif(bid_0_size + ask_0_size, 0)) AS imbalance,
       count(*) AS samples
FROM order_book_snapshots
WHERE bid_0_price < 'infinity' AND ask_0_price < 'infinity'
GROUP BY 1, 2
WITH NO DATA;

CREATE TABLE refreshes (
  refresh_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  table_name text NOT NULL,
  day        date NOT NULL,
  asked_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE refreshes IS 'Days whose continuous aggregates are not those of their rows yet';

SELECT add_continuous_aggregate_policy('trade_flow_1m', start_offset => INTERVAL '3 days',
  end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '1 minute');
SELECT add_continuous_aggregate_policy('trade_flow_1h', start_offset => INTERVAL '7 days',
  end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes');
SELECT add_continuous_aggregate_policy('book_activity_1m', start_offset => INTERVAL '3 days',
  end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '5 minutes');
SELECT add_continuous_aggregate_policy('book_snapshots_1m', start_offset => INTERVAL '3 days',
  end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '5 minutes');
