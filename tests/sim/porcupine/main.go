// Checks histories of registers with porcupine, an independent checker of linearizability.
//
// Reads a JSON array of histories from standard input, each an array of operations in the fields of Operation below, and prints a JSON
// array of verdicts: "ok", "illegal" or "unknown".
package main

import (
	"encoding/json"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

// Operation is one of holdfast.testing.history, times in nanoseconds; Returned below 0: open.
type Operation struct {
	Client   int     `json:"client"`
	Act      string  `json:"act"`
	Invoked  int64   `json:"invoked"`
	Returned int64   `json:"returned"`
	Value    *string `json:"value"`
	Expected *string `json:"expected"`
	Done     bool    `json:"done"`
}

func same(left, right *string) bool {
	if left == nil || right == nil {
		return left == right
	}
	return *left == *right
}

var register = porcupine.NondeterministicModel{
	Init: func() []any { return []any{(*string)(nil)} },
	Step: func(state, input, output any) []any {
		held := state.(*string)
		operation := input.(Operation)
		isOpen := operation.Returned < 0
		var after []any
		switch operation.Act {
		case "read":
			if isOpen || same(held, operation.Value) {
				after = append(after, held)
			}
		case "write":
			after = append(after, operation.Value)
		case "cas":
			if operation.Done || isOpen {
				if same(held, operation.Expected) {
					after = append(after, operation.Value)
				}
			} else if !same(held, operation.Expected) {
				after = append(after, held)
			}
		}
		if isOpen && operation.Act != "read" {
			after = append(after, held) // it may never take place
		}
		return after
	},
	Equal: func(left, right any) bool { return same(left.(*string), right.(*string)) },
}

func verdict(history []Operation) string {
	operations := make([]porcupine.Operation, 0, len(history))
	for _, each := range history {
		returned := each.Returned
		if returned < 0 {
			returned = math.MaxInt64
		}
		operations = append(operations, porcupine.Operation{
			ClientId: each.Client, Input: each, Call: each.Invoked, Output: each, Return: returned,
		})
	}
	model := register.ToModel()
	switch porcupine.CheckOperationsTimeout(model, operations, 20*time.Second) {
	case porcupine.Ok:
		return "ok"
	case porcupine.Illegal:
		return "illegal"
	default:
		return "unknown"
	}
}

func main() {
	var histories [][]Operation
	if err := json.NewDecoder(os.Stdin).Decode(&histories); err != nil {
		panic(err)
	}
	verdicts := make([]string, 0, len(histories))
	for _, history := range histories {
		verdicts = append(verdicts, verdict(history))
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		panic(err)
	}
}
