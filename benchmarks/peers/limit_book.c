/* The machine's limit for a price-indexed book: what a loop does that checks nothing.
 *
 * Two mirrored flat arrays (a bid's slot is its tick, an ask's minus its tick, from a base), one
 * code path for both sides, and the best slot of each tracked: it rises with a new level and walks
 * down to the next one when the best is deleted (slot 0 is never empty, so the walk ends). Every
 * tick must lie in the window. Returns the sum over all deltas of 3 * bid + ask, which stands for
 * reading the touch after each and lets the caller check the result.
 */
#include <stdint.h>

int64_t limit_book(const int8_t *side, const int32_t *tick, const int64_t *lots, int64_t n,
                   int64_t low, int64_t high, int32_t *bids, int32_t *asks, int64_t *touch)
{
    int32_t *level[2] = {bids, asks};
    const int64_t base[2] = {low - 1, -high - 1};
    int64_t best[2] = {0, 0}, sum = 0;
    bids[0] = asks[0] = 1;
    for (int64_t i = 0; i < n; i++) {
        const int64_t ask = side[i] < 0, sign = -ask;
        int32_t *d = level[ask];
        const int64_t slot = ((tick[i] ^ sign) - sign) - base[ask];
        int64_t b = best[ask];
        d[slot] = (int32_t)lots[i];
        b = slot > b && lots[i] ? slot : b;
        while (!d[b])
            b--;
        best[ask] = b;
        sum += 3 * (best[0] + base[0]) - (best[1] + base[1]);
    }
    touch[0] = best[0] + base[0];
    touch[1] = -(best[1] + base[1]);
    return sum;
}
