//go:build long

package tsdb

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestLongPowerCutsExt4 cuts the power twenty times, each time elsewhere.
func TestLongPowerCutsExt4(t *testing.T) {
	for i := range 20 {
		t.Run(fmt.Sprint(i), func(t *testing.T) { powerCutExt4(t, 1+rand.IntN(2000)) })
	}
}
