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

package servers

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCIInstallsWhatTestsStart: in CI nothing is skipped.
func TestCIInstallsWhatTestsStart(t *testing.T) {
	script, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^packages=\((.*)\)$`).FindSubmatch(script)
	if list == nil {
		t.Fatal("no list of packages in .ci/run")
	}
	installed := strings.Fields(string(list[1]))
	for name, of := range programs {
		if !slices.Contains(installed, of.debianPackage) {
			t.Errorf(".ci/run does not install %s, which has %s", of.debianPackage, name)
		}
	}
}
