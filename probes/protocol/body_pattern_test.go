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

package protocol

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestCompileBody(t *testing.T) {
	for _, test := range []struct {
		name, pattern string
		maxBytes      int
		want          string // in the error; empty for none
	}{
		{"a word", `ok`, MaxBodyBytes, ""},
		{"a field of JSON", `"status":\s*"(ok|up|green|healthy)"`, MaxBodyBytes, ""},
		{"a field somewhere", `(?s)"database":.{0,100}"up"`, 0, ""},
		{"a long literal", strings.Repeat("all is well, ", 75), MaxBodyBytes, ""},
		{"a thousand times", `[ab]{1,1000}c`, 0, "set maxBodyBytes to 2095"},
		{"as often, in a small body", `[ab]{1,1000}c`, 2095, ""},
		{"often in a large body", `(?s)"database":.{0,100}"up"`, MaxBodyBytes, "takes too long to match against 65536 bytes"},
		{"nested", `(?:(?:x{1,10}){1,10}y){1,10}z`, 0, "takes too long"},
		{"all that fits", strings.Repeat(`[ab]{1,1000}`, 70), 1, "repeats too much: shorten it, it expands to more than 4096 characters"},
		{"no expression", `(`, 0, "not a regular expression in RE2 syntax: error parsing regexp: missing closing )"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := CompileBody(test.pattern, test.maxBytes)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// FuzzBodiesAreSearchedInTime: whatever is let through is looked for in a fraction of the
// shortest timeout that there may be.
func FuzzBodiesAreSearchedInTime(f *testing.F) {
	f.Add(`[ab]{1,250}c`, "ab")
	f.Add(`(?:a?){120}b`, "a")
	f.Add(`(a|ab|abc|abcd)*e`, "abcd")
	f.Fuzz(func(t *testing.T, pattern, piece string) {
		compiled, err := CompileBody(pattern, 0)
		if err != nil || len(pattern) > 1024 || piece == "" {
			return
		}
		body := bytes.Repeat([]byte(piece), DefaultMaxBodyBytes/len(piece)+1)[:DefaultMaxBodyBytes]
		start := time.Now()
		compiled.Match(body)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%q takes %v", pattern, took)
		}
	})
}
