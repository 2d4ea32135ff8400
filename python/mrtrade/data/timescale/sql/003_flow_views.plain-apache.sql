-- Trade flow and book activity by minute, computed when asked for: the names and columns that the
-- community edition keeps ready (005). `bucket` is the start of the interval of received_time: what
-- it says is known only at its end.

CREATE VIEW trade_flow_1m AS
SELECT date_bin(INTERVAL '1 minute', received_time, TIMESTAMPTZ '2000-01-01 00:00+00') AS bucket, symbol_id,
       (array_agg(price ORDER BY row_no))[1] AS open, max(price) AS high, min(price) AS low,
       (array_agg(price ORDER BY row_no DESC))[1] AS close,
       sum(quantity) AS volume,
       coalesce(sum(quantity) FILTER (WHERE aggressor = 1), 0) AS buy_volume,
       coalesce(sum(quantity) FILTER (WHERE aggressor = -1), 0) AS sell_volume,
       sum(quantity * aggressor) AS net_flow,
       sum(price * quantity) AS notional,
       sum(price * quantity) / sum(quantity) AS vwap,
       count(*) AS trade_count,
       count(*) FILTER (WHERE aggressor = 1) AS buy_count,
       count(*) FILTER (WHERE aggressor = -1) AS sell_count
FROM trades GROUP BY 1, 2;

CREATE VIEW trade_flow_1h AS
SELECT date_bin(INTERVAL '1 hour', bucket, TIMESTAMPTZ '2000-01-01 00:00+00') AS bucket, symbol_id,
       (array_agg(open ORDER BY bucket))[1] AS open, max(high) AS high, min(low) AS low,
       (array_agg(close ORDER BY bucket DESC))[1] AS close,
       sum(volume) AS volume, sum(buy_volume) AS buy_volume, sum(sell_volume) AS sell_volume,
       sum(net_flow) AS net_flow, sum(notional) AS notional, sum(notional) / sum(volume) AS vwap,
       sum(trade_count)::bigint AS trade_count, sum(buy_count)::bigint AS buy_count,
       sum(sell_count)::bigint AS sell_count
FROM trade_flow_1m GROUP BY 1, 2;

CREATE VIEW book_activity_1m AS
SELECT date_bin(INTERVAL '1 minute', received_time, TIMESTAMPTZ '2000-01-01 00:00+00') AS bucket, symbol_id,
       count(*) AS updates,
       count(*) FILTER (WHERE size = 0) AS deletes,
       count(*) FILTER (WHERE side_is_bid) AS bid_updates,
       min(sequence_number) AS first_sequence, max(sequence_number) AS last_sequence
FROM order_book_deltas GROUP BY 1, 2;

-- Of books with two sides: NaN, greater than every number here, stands for a side that is empty.
CREATE VIEW book_snapshots_1m AS
SELECT date_bin(INTERVAL '1 minute', received_time, TIMESTAMPTZ '2000-01-01 00:00+00') AS bucket, symbol_id,
       (array_agg((bid_0_price + ask_0_price) / 2 ORDER BY row_no))[1] AS mid_open,
       max((bid_0_price + ask_0_price) / 2) AS mid_high,
       min((bid_0_price + ask_0_price) / 2) AS mid_low,
       (array_agg((bid_0_price + ask_0_price) / 2 ORDER BY row_no DESC))[1] AS mid_close,
       avg(ask_0_price - bid_0_price) AS spread,
       avg((bid_0_size - ask_0_size) / nullif(bid_0_size + ask_0_size, 0)) AS imbalance,
       count(*) AS samples
FROM order_book_snapshots
WHERE bid_0_price < 'infinity' AND ask_0_price < 'infinity'
GROUP BY 1, 2;
