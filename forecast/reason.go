package forecast

// Sources of a forecast.
const (
	// SourceNone is the constant zero of a series that has never been seen.
	SourceNone Source = "None"
	// SourceLastValue repeats the last value.
	SourceLastValue Source = "LastValue"
	// SourceSameSlot repeats the same slot of the last season.
	SourceSameSlot Source = "SameSlot"
	// SourceCombined weighs the candidates by their backtest.
	SourceCombined Source = "Combined"
	// SourceAuto weighs many members, regressions among them, by their backtest.
	SourceAuto Source = "Auto"
	// SourceTheta is the Theta method.
	SourceTheta Source = "Theta"
	// SourceETS is exponential smoothing with a damped trend.
	SourceETS Source = "ETS"
	// SourceSTLETS is exponential smoothing after a decomposition by loess.
	SourceSTLETS Source = "STLETS"
	// SourceNaive2 repeats the seasonally adjusted last value.
	SourceNaive2 Source = "Naive2"
)

// Reasons why a source was used.
const (
	// ReasonNoHistory says that there is not one value.
	ReasonNoHistory Reason = "NoHistory"
	// ReasonShortHistory says that there are too few values to backtest on.
	ReasonShortHistory Reason = "ShortHistory"
	// ReasonNoSeason says that no season was given of which the history holds two, nor found in it.
	ReasonNoSeason Reason = "NoSeason"
	// ReasonEnoughHistory says that every candidate could be backtested.
	ReasonEnoughHistory Reason = "EnoughHistory"
)
