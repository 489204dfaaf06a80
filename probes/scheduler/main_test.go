/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package scheduler

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"farpoint.dev/farpoint/test/effort"
)

// testProcesses are what this test binary runs instead of its tests, by the environment
// variable that asks for it. Each gets the variable's value. Files that not every system
// compiles add their own.
var testProcesses = map[string]func(value string) error{
	engineProcessVariable: engineProcess,
}

// TestMain sees to it that no test, and so no prober, leaves a goroutine behind.
func TestMain(m *testing.M) {
	for variable, run := range testProcesses {
		value := os.Getenv(variable)
		if value == "" {
			continue
		}
		if err := run(value); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	effort.Overlap()
	goleak.VerifyTestMain(m)
}
