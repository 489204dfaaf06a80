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
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The image is built from what `go build` needs, as .dockerignore lets it through, and with a
// compiler of the version in go.mod.
func TestImageIsBuiltFromWhatTheManagerNeeds(t *testing.T) {
	read := func(file string) string {
		text, err := os.ReadFile("../../" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	dockerfile := read("Dockerfile")
	var copied []string
	for _, match := range regexp.MustCompile(`(?m)^COPY (\w+)/ (\w+)/$`).FindAllStringSubmatch(dockerfile, -1) {
		if match[1] != match[2] {
			t.Errorf("%s is copied to %s", match[1], match[2])
		}
		copied = append(copied, match[1])
	}
	var let []string
	for _, match := range regexp.MustCompile(`(?m)^!(\w+)$`).FindAllStringSubmatch(read(".dockerignore"), -1) {
		let = append(let, match[1])
	}
	if slices.Sort(copied); !slices.Equal(copied, slices.Sorted(slices.Values(let))) {
		t.Errorf("the Dockerfile copies %v, .dockerignore lets in %v", copied, let)
	}

	listed, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{}
	for _, imported := range strings.Fields(string(listed)) {
		folder := strings.TrimPrefix(imported, "farpoint.dev/farpoint/")
		for path.Dir(folder) != "." {
			folder = path.Dir(folder)
		}
		needed[folder] = true
	}
	for _, folder := range copied {
		if !needed[folder] {
			t.Errorf("nothing of %s is needed", folder)
		}
		delete(needed, folder)
	}
	if len(needed) > 0 {
		t.Errorf("the Dockerfile does not copy %v", needed)
	}

	compiler := regexp.MustCompile(`(?m)^ARG BUILDER=\S+:(.*)$`).FindStringSubmatch(dockerfile)
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read("go.mod"))
	if compiler == nil || language == nil || compiler[1] != language[1] {
		t.Errorf("the Dockerfile builds with Go %q, go.mod asks for %q", compiler, language)
	}
}
