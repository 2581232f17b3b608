// Package mqtt is the edge where devices speak: the embedded MQTT 3.1.1 and 5
// broker with every guard around it. It hides mochi.
package mqtt
