package capacity

// over tells that the work of a pool has ended: nobody runs, nobody waits, and no path of the
// forecast has anybody within the window. Then there is nothing to wait out the hold time for,
// unless nodes are paid for longer anyway.
func over(demand Demand, state State, limits Limits) bool {
	if state.Young || limits.MinBilling > 0 {
		return false
	}
	for i, d := range demand.Chunks {
		peaks := Peaks(d, limits.Window())
		if ceil(d.Now) > 0 || d.Known+d.Diverted > 0 || state.Chunks[i].Waiting > 0 || len(peaks) == 0 || ceil(peaks[len(peaks)-1]) > 0 {
			return false
		}
	}
	return true
}
