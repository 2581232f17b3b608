// Command fieldsim is the field in a box: a province that speaks, load with a ledger, and faults.
package main

func main() {}
