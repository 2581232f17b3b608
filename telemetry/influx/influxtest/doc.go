// Package influxtest runs a real InfluxDB for the tests of whoever speaks to one.
package influxtest
