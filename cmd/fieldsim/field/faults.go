package field

import (
	"math/rand/v2"
)

// Faults are probabilities, 0..1 each, that something goes wrong with a
// message or the connection under it. The zero value is a perfect field.
type Faults struct {
	Duplicate  float64 `help:"A message is sent twice." default:"0"`
	Late       float64 `help:"A sample is held back and sent some intervals later, with its own ts." default:"0"`
	Shuffled   float64 `help:"Samples that wait are sent newest first." default:"0"`
	Garbage    float64 `help:"An unreadable message goes before a good one." default:"0"`
	Disconnect float64 `help:"The connection is cut without a good-bye." default:"0"`
	DropOut    float64 `help:"The sensor gives nothing for this sample." default:"0"`
}

// chance throws a die that falls on yes with probability p.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }

// rubbish is what broken firmware sends. Each is refused for another reason.
var rubbish = []string{
	"",
	"\x00\xff\xfe\x01",
	`{"ts":1767225600000,"values":{"salinity":`,
	`{"ts":1767225600000,"values":["salinity",3.2]}`,
	`{"ts":"yesterday","values":{"salinity":3.2}}`,
	`{"ts":4102444800000,"values":{"salinity":3.2}}`,
	`{"ts":1000,"values":{"salinity":3.2}}`,
	`{"values":{"salinity":1e999}}`,
	`{"values":{"Độ mặn":3.2}}`,
	`[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`,
	`null`,
	`ERR sensor timeout`,
}
