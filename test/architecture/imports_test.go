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

// Package architecture_test holds the borders between packages, of which CONTRIBUTING.md and the
// packages' descriptions say what they are for. What a package may import is in .golangci.yml,
// where depguard checks it while somebody writes.
package architecture_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	module = "farpoint.dev/farpoint/"
	root   = "../.."
)

// rule is what depguard allows some files to import. Those of allow are exceptions from
// deny. An entry that ends in $ is one package, and any other a prefix of many.
type rule struct {
	Files, Allow []string
	Deny         []struct{ Pkg string }
}

// rules are those for packages below controllers and probes, by the package's path in this module.
func rules(t *testing.T) map[string]rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct{ Rules map[string]rule }
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	rules := map[string]rule{}
	for _, rule := range config.Linters.Settings.Depguard.Rules {
		folder := strings.TrimPrefix(path.Dir(rule.Files[0]), "**/")
		if strings.Contains(folder, "/") {
			rules[folder] = rule
		}
	}
	if len(rules) == 0 {
		t.Fatal(".golangci.yml has no rules for packages below controllers and probes")
	}
	return rules
}

// allows reports whether an import is none of those that the rule denies.
func (r rule) allows(imported string) bool {
	covers := func(entry string) bool {
		exact, only := strings.CutSuffix(entry, "$")
		return imported == exact || !only && strings.HasPrefix(imported, entry)
	}
	if slices.ContainsFunc(r.Allow, covers) {
		return true
	}
	return !slices.ContainsFunc(r.Deny, func(denied struct{ Pkg string }) bool { return covers(denied.Pkg) })
}

// pure reports whether the rule is that of a package that decides and does nothing else.
func (r rule) pure() bool { return !r.allows("context") }

// listed is a package in the output of go list.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports, Deps   []string
}

// list returns the packages below controllers and probes, by their paths in this module.
func list(t *testing.T) map[string]listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./controllers/...", "./probes/...")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one listed
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		if path := strings.TrimPrefix(one.ImportPath, module); strings.Contains(path, "/") {
			packages[path] = one
		}
	}
}

func TestImports_OfEachPackage_AreTheAllowedOnes(t *testing.T) {
	rules := rules(t)
	for path, pkg := range list(t) {
		rule, ruled := rules[path]
		if !ruled && path != "probes/probetest" { // which is for tests
			t.Errorf("%s has no rule in .golangci.yml: say what it may import", path)
		}
		delete(rules, path)
		for _, imported := range pkg.Imports {
			if !rule.allows(imported) {
				t.Errorf("%s imports %s, which its rule in .golangci.yml denies", path, imported)
			}
		}
		for _, allowed := range rule.Allow {
			if !slices.Contains(pkg.Imports, strings.TrimSuffix(allowed, "$")) {
				t.Errorf("%s may import %s by its rule in .golangci.yml, and does not", path, allowed)
			}
		}
	}
	for path := range rules {
		t.Errorf("%s has a rule in .golangci.yml, and is no package", path)
	}
}

func TestImports_OfPurePackages_ReachNoClient(t *testing.T) {
	rules := rules(t)
	for path, pkg := range list(t) {
		if !rules[path].pure() {
			continue
		}
		for _, dependency := range pkg.Deps {
			if strings.HasPrefix(dependency, "k8s.io/client-go") || strings.HasPrefix(dependency, "sigs.k8s.io/controller-runtime") {
				t.Errorf("%s depends on %s", path, dependency)
			}
		}
		if slices.Contains(pkg.Imports, "net/http") {
			t.Errorf("%s imports net/http", path)
		}
	}
}

func TestPurePackages_AskNoClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	rules := rules(t)
	for path, pkg := range list(t) {
		if !rules[path].pure() {
			continue
		}
		for _, file := range pkg.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clock, selector.Sel.Name) {
					if of, ok := selector.X.(*ast.Ident); ok && of.Name == "time" {
						t.Errorf("%s/%s calls time.%s", path, file, selector.Sel.Name)
					}
				}
				return true
			})
		}
	}
}
