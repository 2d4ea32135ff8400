"""What the validation page says in words that do not depend on numbers."""

ABOUT = {
    "GO": "Every test that this strategy was put to was passed. That is a reason to go on to the "
    "next stage with small size, and no promise of profit.",
    "NO-GO": "This strategy should not be traded as it is: at least one test was failed. "
    "That is a result, not an error.",
    "NOT JUDGED": "Nothing was failed, but not everything could be tested. Until it is, treat this "
    "as a no.",
    "matplotlib": "Pictures need matplotlib: <code>pip install 'mrtrade[report]'</code>, then "
    "write the page again.",
}

EXPLAINED = {
    "equity": "Each stretch was traded by a model that had seen only what came before it. "
    "Profit is in % of the capital.",
    "folds": "One row for each step: trained on the first span, tested on the next. A good "
    "strategy earns in most of them, not in one.",
    "sharpe": "The Sharpe ratio is profit for the risk taken. The more was tried before this "
    "strategy was found, the better the best of it looks by luck alone.",
    "overfitting": "The history is cut into blocks. Half of them choose the best configuration; "
    "the other half shows what that one then earned. If that is often nothing, the choice was "
    "luck. Its rank among the others says little where all earn alike, or some have no chance.",
    "costs": "Costs are never as assumed. What is left when they are half, or three times as high?",
    "regimes": "Calm and stormy markets differ. A strategy that earns in one of them only is a bet "
    "on the weather.",
    "transfers": "What was learnt on one symbol is traded on another that had no part in it. A "
    "real effect is seldom at home in one place only.",
    "plateau": "Slightly other settings are nearly the same strategy. If they earn far less, the "
    "best one was luck.",
    "noise": "The same procedure was run on data that hold nothing. Each GO there is a false "
    "alarm.",
    "pictures": "What moves the model's forecast, and which way, by SHAP values: parts of a "
    "forecast that add up to it. Of each fold's own model, on days that it had not seen. It says "
    "what the model uses, not what moves the market.",
}

GLOSSARY = {
    "Out of sample": "On days that had no part in making the strategy.",
    "Fold": "One step of the walk forward through time: train, leave a gap, test.",
    "Sharpe ratio": "Mean of the daily returns over their standard deviation, times the square "
    "root of 365. 1 is good, 2 is rare, above 3 look for the mistake.",
    "Standard error (±)": "How far the number would be off by chance alone; twice it is the usual "
    "margin.",
    "Bootstrap interval": "What the number would have been, had the same days come in another "
    "order or number; drawn in blocks, as days are alike.",
    "PSR": "Probability that the true Sharpe ratio is above zero, given length, skew and fat "
    "tails. There are two versions, of 2012 and 2025; the page says which.",
    "Trials": "Every configuration that was ever tried, kept in a ledger across runs, the "
    "forgotten ones too.",
    "DSR": "Deflated Sharpe ratio: the PSR, not against zero, but against the best that so many "
    "worthless trials would show.",
    "PBO": "Probability of backtest overfitting: how often the best configuration in sample is at "
    "or below the median out of sample.",
    "MinTRL": "Minimum track record length: how long a record must be to show a ratio so high.",
    "Break-even": "The multiple of the assumed costs at which nothing is left.",
    "bps": "Basis point, a hundredth of a percent.",
    "Drawdown": "Fall from the highest value so far, in % of the capital.",
    "GO, NO-GO, NOT JUDGED": "All criteria met; at least one not met; none failed, but some could "
    "not be judged.",
}
