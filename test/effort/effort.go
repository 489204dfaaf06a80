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

// Package effort bounds the tests that simulate much: they look for wrong decisions, not for
// races, and with the race detector everything takes ten times as long. `go test` without it runs
// them in full, as `make test-long` does.
package effort

import "flag"

// Rounds returns how often a test repeats itself: full, or bounded with the race detector.
func Rounds(full, bounded int) int {
	if Bounded {
		return bounded
	}
	return full
}

// Overlap lets eight tests that call t.Parallel run at a time, on however few processors: they wait
// for servers of their own more than they compute. TestMain calls it; -parallel takes precedence.
func Overlap() {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "8") // the flag is testing's own
	}
}
