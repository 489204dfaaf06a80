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

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// contributorDocuments returns the texts for contributors, as paths from this folder.
func contributorDocuments(t *testing.T) []string {
	t.Helper()
	decisions, err := filepath.Glob("decisions/*.md")
	if err != nil || len(decisions) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	return append(decisions, "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md")
}

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// inTree matches what can only be a file or folder of the repository, or a package.
	inTree = regexp.MustCompile(`^(\./)?(api|cmd|config|controllers|docs|hack|probes|test|\.ci)/[\w./-]*$`)
	atRoot = regexp.MustCompile(`^(go\.mod|go\.sum|Makefile|Dockerfile|LICENSE|PROJECT|[A-Z]+\.md|\.[a-z]+\.(yml|json))$`)
)

func TestDocuments_PathsInCode_Exist(t *testing.T) {
	paths := 0
	for _, document := range contributorDocuments(t) {
		for _, span := range codeSpan.FindAllStringSubmatch(read(t, document), -1) {
			for word := range strings.FieldsSeq(span[1]) {
				if !inTree.MatchString(word) && !atRoot.MatchString(word) {
					continue
				}
				paths++
				if _, err := os.Stat(filepath.Join("..", strings.TrimSuffix(word, "..."))); err != nil {
					t.Errorf("%s names %s, which does not exist", document, word)
				}
			}
		}
	}
	if paths < 30 {
		t.Errorf("only %d paths were recognized", paths)
	}
}

func TestDecisions_EachOne_IsInTheIndex(t *testing.T) {
	index := read(t, "decisions/README.md")
	for _, document := range contributorDocuments(t) {
		name := filepath.Base(document)
		if filepath.Dir(document) == "decisions" && name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("decisions/README.md does not list %s", name)
		}
	}
}

// clientWrite matches a call that changes an object, by the names that clients have here.
var clientWrite = regexp.MustCompile(`\b(client|live|writer|Interface|Status\(\))\.(Create|Update|Patch|Apply|Delete|DeleteAllOf)\(`)

func TestContributing_FilesThatWriteToTheAPIServer_AreListed(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "../CONTRIBUTING.md"), "| file | writes |")
	table, _, _ = strings.Cut(table, "\n\n")
	sources := filesInTree(t, func(path string) bool {
		return strings.HasPrefix(path, "../controllers/") && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
	})
	for _, source := range sources {
		writes := clientWrite.MatchString(read(t, "../"+source))
		if listed := strings.Contains(table, "| `"+source+"` |"); writes != listed {
			t.Errorf("%s: writes to the API server: %t, and CONTRIBUTING.md lists it: %t", source, writes, listed)
		}
	}
}
