package tsdb

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"cuulong/telemetry"
)

type testNames struct{ list []string }

func (t *testNames) number(name []byte) uint8 {
	for i, n := range t.list {
		if n == string(name) {
			return uint8(i)
		}
	}
	t.list = append(t.list, string(name))
	return uint8(len(t.list) - 1)
}

// tide is a day of a station: two decimals, tide-shaped, every n ms.
func tide(rng *rand.Rand, every int64) (list []sample) {
	for at := int64(0); at < dayMillis; at += every {
		v := 4 + 3*math.Sin(float64(at)/dayMillis*2*math.Pi*1.93) + rng.NormFloat64()*0.03
		list = append(list, sample{at: at, value: math.Round(v*100) / 100, delay: int32(rng.IntN(2)), flag: 1})
	}
	return list
}

// TestChunk: what goes in comes out, to the bit, whatever it is.
func TestChunk(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tests := []string{"", "gross_range", "spike"}
	var jitter, wild, mixed []sample
	at := int64(5)
	for i := range 500 {
		at += 60_000 + int64(rng.IntN(900))
		jitter = append(jitter, sample{at: at, value: float64(i%7) / 10, delay: int32(i * i), flag: 1})
		wild = append(wild, sample{at: at, value: math.Float64frombits(rng.Uint64()), flag: 4, test: 1})
		mixed = append(mixed, sample{at: at, value: []float64{0.1, 1e9, -3.25, 0, 123456.789}[i%5], flag: []telemetry.Flag{1, 1, 3, 4, 2}[i%5], test: uint8(i % 3), delay: -5})
	}
	cases := map[string][]sample{
		"one": {{at: 86_399_999, value: -0.5, flag: 9}}, "tide": tide(rng, 600_000), "jitter": jitter, "wild": wild, "mixed": mixed,
		"zeros":     {{at: 0, value: 0}, {at: 1, value: math.Copysign(0, -1)}, {at: 2, value: 0}},
		"extremes":  {{at: 0, value: math.MaxFloat64}, {at: 1, value: math.SmallestNonzeroFloat64}, {at: 86_399_999, value: -math.MaxFloat64}},
		"mantissas": {{at: 0, value: 1<<53 - 1}, {at: 1, value: -(1<<53 - 1)}, {at: 2, value: 1<<53 - 1}, {at: 9, value: 0.1}},
		"delays":    {{at: 0, delay: math.MaxInt32}, {at: 1, delay: math.MinInt32}},
	}
	var e chunkEncoder
	for name, list := range cases {
		const midnight = 1_772_298_000_000
		list = slices.Clone(list)
		for i := range list {
			list[i].at += midnight
		}
		b := e.chunk([]byte("before"), midnight, list, tests)[6:]
		got, err := decodeChunk(b, midnight, nil, &testNames{slices.Clone(tests)})
		if err != nil || !slices.EqualFunc(got, list, func(a, b sample) bool {
			same := math.Float64bits(a.value) == math.Float64bits(b.value)
			a.value, b.value = 0, 0
			return same && a == b
		}) {
			t.Errorf("%s: %v\n got %v\nwant %v", name, err, got, list)
		}
		t.Logf("%s: %.2f bytes a sample", name, float64(len(b))/float64(len(list)))
		// Cut anywhere: an error, or fewer bits of zeros; never a panic.
		for n := range min(len(b), 300) {
			_, _ = decodeChunk(b[:n], midnight, nil, nil)
		}
	}
}

// FuzzChunk: any bytes are a chunk or an error; a chunk that is read is written the same in meaning.
func FuzzChunk(f *testing.F) {
	var e chunkEncoder
	rng := rand.New(rand.NewPCG(1, 2))
	f.Add(e.chunk(nil, 0, tide(rng, 3_600_000), []string{""}))
	f.Add(e.chunk(nil, 0, []sample{{value: 1.0 / 3, flag: 1}, {at: 9, value: 0.5, flag: 4, test: 1}}, []string{"", "spike"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		names := &testNames{[]string{""}}
		list, err := decodeChunk(b, 0, nil, names)
		if err != nil || len(names.list) > 200 {
			return
		}
		again, err := decodeChunk(e.chunk(nil, 0, list, names.list), 0, nil, names)
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v: %d samples, want %d", err, len(again), len(list))
		}
		for i := range list {
			if again[i].at != list[i].at || math.Float64bits(again[i].value) != math.Float64bits(list[i].value) || again[i].flag != list[i].flag {
				t.Fatalf("sample %d: %v, want %v", i, again[i], list[i])
			}
		}
	})
}

func BenchmarkChunk(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := tide(rng, 600_000)
	var e chunkEncoder
	bytes := e.chunk(nil, 0, list, []string{""})
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			bytes = e.chunk(bytes[:0], 0, list, []string{""})
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/sample")
	})
	b.Run("decode", func(b *testing.B) {
		var out []sample
		for b.Loop() {
			out, _ = decodeChunk(bytes, 0, out[:0], nil)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/sample")
	})
}

// TestPieceOf: the head of a damaged chunk is never one that cannot be.
func TestPieceOf(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	day := tide(rng, 60_000)
	var e chunkEncoder
	sound := e.chunk(nil, 0, day, []string{""})
	key := chunkKey(nil, 1, 0, 1)
	if p, err := pieceOf(key, sound); err != nil || p.count != len(day) || p.generation != 1 || p.last-p.first != day[len(day)-1].at-day[0].at {
		t.Errorf("%+v, %v", p, err)
	}
	for range 20_000 {
		b := slices.Clone(sound[:1+rng.IntN(30)])
		for range 1 + rng.IntN(8) {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		}
		p, err := pieceOf(key, b)
		if err == nil && (p.count < 1 || p.first < midnightOf(0) || p.last < p.first || p.last >= midnightOf(1)) {
			t.Fatalf("%x is %+v", b, p)
		}
	}
}

// FuzzRollups: any bytes are roll-ups or an error, and so is a newest observation.
func FuzzRollups(f *testing.F) {
	day := tide(rand.New(rand.NewPCG(1, 2)), 6*3_600_000)
	rolled := newRollers(0)
	rolled.add(day)
	sound, _ := rolled.append(nil, true)
	f.Add(sound)
	f.Add(appendNewest(nil, newest{at: 5, seen: 9, value: 0.5, flag: 3, test: 1}, []string{"", "spike"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = parseNewest(b, &testNames{})
		last := int64(-1)
		_ = parseRollups(b, 0, func(level int, parts []telemetry.Part) bool {
			for _, p := range parts {
				last = max(last, p.Start)
			}
			return true
		})
		if last >= dayMillis {
			t.Errorf("a window begins at %d, after its day", last)
		}
	})
}
