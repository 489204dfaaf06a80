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

package main

import (
	"testing"
	"time"
)

func TestLimitFrom(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{{"", 0}, {"1", time.Second}, {"20", 20 * time.Second}, {"86400", 24 * time.Hour}} {
		if got, err := limitFrom(c.text); err != nil || got != c.want {
			t.Errorf("limitFrom(%q) = %v, %v; want %v", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{"0", "-1", "1.5", "20s", "abc", " 5", "86401", "99999999999999999999"} {
		got, err := limitFrom(text)
		if err == nil {
			t.Errorf("limitFrom(%q) = %v; want an error", text, got)
			continue
		}
		want := "DEMO_SECONDS=" + text + ": give a whole number of seconds from 1 to 86400, or leave it out to run until Ctrl-C"
		if err.Error() != want {
			t.Errorf("limitFrom(%q): %v; want %s", text, err, want)
		}
	}
}
