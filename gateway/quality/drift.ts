// Whether a target's answers have become worse: a cumulative sum of the evidence for it, over the answers that somebody
// looked at. It knows no clock and holds four numbers.
//
//   evidence ← max(1, evidence) · P(answer | worse) / P(answer | as usual),   alarm at 10,000
//
// E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), as products instead of sums of logarithms. Worse: the
// odds of a bad answer are doubled (S. H. Steiner et al., Monitoring surgical performance using risk-adjusted cumulative
// sum charts, Biostatistics 1 (2000)). Between false alarms lie 10,000 answers or more on average (G. Lorden, Procedures
// for reacting to a change in distribution, 1971), as long as the usual share of bad answers is not underestimated.

/** Answers that tell what is usual. */
const BASELINE_ANSWERS = 500;
/** Standard errors by which the usual share of bad answers is taken to be higher than it was seen to be. */
const MARGIN = 1;
const ODDS_RATIO = 2;
const ALARM = 10_000;
/** A target that is always wrong cannot become worse. */
const WORST_RATIO = 0.99;

export class DriftDetector {
  private answers = 0;
  private bad = 0;
  private evidence = 1;
  /** By how much a good, and a bad, answer changes the evidence; 0 while what is usual is being learnt. */
  private byGood = 0;
  private byBad = 0;

  /** True once when it fires; from then on it learns anew what is usual. Hot: once per answer that is looked at. */
  observe(isGood: boolean): boolean {
    if (this.byGood === 0) {
      this.learn(isGood);
      return false;
    }
    this.evidence = Math.max(1, this.evidence) * (isGood ? this.byGood : this.byBad);
    if (this.evidence < ALARM) return false;
    this.answers = 0;
    this.bad = 0;
    this.evidence = 1;
    this.byGood = 0;
    return true;
  }

  private learn(isGood: boolean): void {
    this.answers += 1;
    if (!isGood) this.bad += 1;
    if (this.answers < BASELINE_ANSWERS) return;
    // Agresti and Coull (1998): two of each added, so that no failure at all is not taken for never.
    const answers = this.answers + 4;
    const seen = (this.bad + 2) / answers;
    const usual = Math.min(WORST_RATIO, seen + MARGIN * Math.sqrt((seen * (1 - seen)) / answers));
    const odds = (ODDS_RATIO * usual) / (1 - usual);
    const worse = odds / (1 + odds);
    this.byBad = worse / usual;
    this.byGood = (1 - worse) / (1 - usual);
  }
}
