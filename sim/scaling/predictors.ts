// Predictors of the next interval of a series, as the Dynamo planner has them (planner/core/load/predictors.py). Each
// skips the zeros before the first value.

export interface Predictor {
  add(value: number): void;
  /** The next value, never negative; 0 before the first. */
  next(): number;
}

/** Fewer values than this are no series: the last one is taken. */
const FEWEST = 5;
/** Intervals that a fit looks back over. */
const HISTORY = 50;

/** Keeps the series; `predict` is asked for the next of at least one value. */
function over(predict: (values: readonly number[]) => number): Predictor {
  const values: number[] = [];
  return {
    add(value) {
      if (value === 0 && values.length === 0) return;
      values.push(value);
      if (values.length > HISTORY) values.shift();
    },
    next: () => (values.length === 0 ? 0 : Math.max(0, predict(values))),
  };
}

const lastOf = (values: readonly number[]): number => values[values.length - 1]!;

/** The next is as the last. */
const constant = (): Predictor => over(lastOf);

/**
 * ARIMA(1,1,0): changes follow their last one, next = last + phi · change, with phi by least squares over the series:
 * phi = sum(d[i] · d[i-1]) / sum(d[i-1]^2), held within -0.99 and 0.99. The planner lets auto_arima choose the order
 * anew for each series; this is the plainest order that can follow a trend.
 */
const arima = (): Predictor =>
  over(values => {
    if (values.length < FEWEST) return lastOf(values);
    const changes = values.slice(1).map((value, i) => value - values[i]!);
    let product = 0;
    let square = 0;
    for (let i = 1; i < changes.length; i++) {
      product += changes[i]! * changes[i - 1]!;
      square += changes[i - 1]! ** 2;
    }
    const phi = square === 0 ? 0 : Math.min(0.99, Math.max(-0.99, product / square));
    return lastOf(values) + phi * lastOf(changes);
  });

/** Variances of level, trend and observation, and of the start [planner/config/defaults.py; filterpy P *= 1000]. */
const Q_LEVEL = 1;
const Q_TREND = 0.1;
const R = 10;
const P_START = 1000;

/** A Kalman filter with a level and a trend: x' = x + v, v' = v; only x is observed. */
function kalman(): Predictor {
  let isStarted = false;
  let level = 0;
  let trend = 0;
  /** Covariance, symmetric: of the level, of both, of the trend. */
  let pLevel = P_START;
  let pBoth = 0;
  let pTrend = P_START;
  const predict = (): void => {
    level += trend;
    pLevel += 2 * pBoth + pTrend + Q_LEVEL;
    pBoth += pTrend;
    pTrend += Q_TREND;
  };
  return {
    add(value) {
      if (!isStarted) {
        if (value === 0) return;
        isStarted = true;
        level = value;
        return;
      }
      predict();
      const error = value - level;
      const spread = pLevel + R;
      const gainLevel = pLevel / spread;
      const gainTrend = pBoth / spread;
      level += gainLevel * error;
      trend += gainTrend * error;
      pTrend -= gainTrend * pBoth;
      pBoth -= gainLevel * pBoth;
      pLevel -= gainLevel * pLevel;
    },
    next: () => (isStarted ? Math.max(0, level + trend) : 0),
  };
}

export const PREDICTORS = { arima, constant, kalman } as const;
export type PredictorName = keyof typeof PREDICTORS;
