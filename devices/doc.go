// Package devices is the registry: who may speak to the province, what each
// one is, where it stands, how often it should be heard, and whether it is.
package devices
