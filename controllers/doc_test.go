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

package controllers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever looks for something begins with the package's description.
func TestEveryFileHasItsPlace(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	described := regexp.MustCompile(`[a-z_]+\.go`).FindAllString(string(text), -1)
	present, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range present {
		if !strings.HasSuffix(file, "_test.go") && file != "doc.go" && !slices.Contains(described, file) {
			t.Errorf("doc.go does not speak of %s", file)
		}
	}
	for _, file := range described {
		if !slices.Contains(present, file) {
			t.Errorf("doc.go speaks of %s, which is not there", file)
		}
	}
}
