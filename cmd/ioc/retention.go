package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"cuulong/telemetry"
	"cuulong/telemetry/tsdb"
)

// RetentionConfig says how long series are kept, in days such as 400d; empty: for
// ever. Roll-ups, of 5 minutes, an hour and a day, are kept at least as long as
// the values they are of. What is said for a metric stands in place of the
// general, key by key.
type RetentionConfig struct {
	Raw         string                       `yaml:"raw"`
	FiveMinutes string                       `yaml:"5m"`
	Hour        string                       `yaml:"1h"`
	Day         string                       `yaml:"1d"`
	Metrics     map[string]map[string]string `yaml:"metrics"`
}

// maxRetentionDays is a hundred years: longer is for ever.
const maxRetentionDays = 36_500

// keep reads the configuration: what is kept in general and of metrics that differ; each fault names its key.
func (c RetentionConfig) keep() (general tsdb.Keep, of map[string]tsdb.Keep, faults []error) {
	set := func(key string, k *tsdb.Keep, values map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			into := map[string]*time.Duration{"raw": &k.Raw, "5m": &k.FiveMinutes, "1h": &k.Hour, "1d": &k.Day}[name]
			if into == nil {
				faults = append(faults, fmt.Errorf("%s.%s: is none of raw, 5m, 1h, 1d", key, name))
				continue
			}
			d, err := parseDays(values[name])
			if err != nil {
				faults = append(faults, fmt.Errorf("%s.%s: %w", key, name, err))
			}
			*into = d
		}
	}
	set("retention", &general, map[string]string{"raw": c.Raw, "5m": c.FiveMinutes, "1h": c.Hour, "1d": c.Day})
	of = map[string]tsdb.Keep{}
	for _, metric := range slices.Sorted(maps.Keys(c.Metrics)) {
		if !telemetry.GoodMetric(metric) {
			faults = append(faults, fmt.Errorf("retention.metrics: %.64q is not the name of a metric", metric))
		}
		k := general
		set("retention.metrics."+metric, &k, c.Metrics[metric])
		of[metric] = k
	}
	return general, of, faults
}

// policy is the configuration as the engine asks it; nil where everything is kept for ever.
func (c RetentionConfig) policy() func(metric string) tsdb.Keep {
	general, of, _ := c.keep() // faults are told when the configuration is read
	if general == (tsdb.Keep{}) && len(of) == 0 {
		return nil
	}
	return func(metric string) tsdb.Keep {
		if k, ok := of[metric]; ok {
			return k
		}
		return general
	}
}

// parseDays reads 400d; nothing is for ever.
func parseDays(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil || s[len(s)-1] != 'd' || n == 0 || n > maxRetentionDays {
		return 0, fmt.Errorf("%.16q is not a number of days such as 400d, at most %dd", s, maxRetentionDays)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}
