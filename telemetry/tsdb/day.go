package tsdb

// The series are kept by local day (Asia/Ho_Chi_Minh, UTC+7, no daylight
// saving time since 1975), as people ask for them: a day's roll-up is whole.
const (
	dayMillis   = 24 * 3600 * 1000
	localOffset = 7 * 3600 * 1000
)

// dayOf is the local day that holds at (Unix ms), counted from 1970-01-01.
func dayOf(at int64) int32 {
	d := floorDiv(at, dayMillis)
	if at-d*dayMillis >= dayMillis-localOffset {
		d++
	}
	return int32(max(min(d, maxDay), -maxDay))
}

// maxDay bounds days, so that a bound of all time is one too.
const maxDay = 1 << 30

// midnightOf is when a day begins, Unix ms.
func midnightOf(day int32) int64 { return int64(day)*dayMillis - localOffset }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
