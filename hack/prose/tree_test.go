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

package prose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// generated files are checked at their sources.
var generated = regexp.MustCompile(`^(docs/(api|metrics|flags)\.md|docs/reference/.*|config/crd/bases/.*|config/rbac/role\.yaml|.*/zz_generated\..*)$`)

// passage is text that is read in one go: a comment, a message, a document.
type passage struct {
	file string
	line int
	text string
}

func TestProse(t *testing.T) {
	walk(t, func(file string) {
		for _, p := range passages(t, file) {
			for _, r := range rules {
				for _, at := range r.find(p.text) {
					line := p.line + strings.Count(p.text[:at[0]], "\n")
					found := strings.Join(strings.Fields(p.text[at[0]:at[1]]), " ")
					t.Errorf("%s:%d: %q: %s; write: %s", p.file, line, found, r.reason, r.instead)
				}
			}
		}
	})
}

// walk calls visit for each file that people write, by its path from the root.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		switch {
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "hack/prose"}, file):
			return filepath.SkipDir
		case entry.Type().IsRegular() && !generated.MatchString(file):
			visit(file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	code        = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	letters     = regexp.MustCompile(`[^\n]`)
	commentMark = regexp.MustCompile(`(?m)^\s*(#+|//)`)
)

// passages returns the prose of a file: of Go files the comments and the messages, of documents
// all but code, of other text files everything.
func passages(t *testing.T, file string) []passage {
	t.Helper()
	switch base := filepath.Base(file); {
	case strings.HasSuffix(base, ".go"):
		return goPassages(t, file)
	case strings.HasSuffix(base, ".md"):
		text := code.ReplaceAllStringFunc(read(t, file), func(span string) string {
			return letters.ReplaceAllString(span, "`")
		})
		return []passage{{file, 1, text}}
	case slices.Contains([]string{".yaml", ".yml", ".sh", ".tpl"}, filepath.Ext(base)), slices.Contains([]string{"Makefile", "Dockerfile", "run"}, base):
		return []passage{{file, 1, commentMark.ReplaceAllString(read(t, file), "")}}
	}
	return nil
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T, file string) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, read(t, file), parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, parsed
}

func goPassages(t *testing.T, file string) []passage {
	set, parsed := parse(t, file)
	var all []passage
	for _, group := range parsed.Comments {
		var text strings.Builder
		for _, comment := range group.List {
			text.WriteString(strings.TrimPrefix(comment.Text, "//") + "\n")
		}
		all = append(all, passage{file, set.Position(group.Pos()).Line, text.String()})
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			node.Tag = nil
		case *ast.BinaryExpr:
			if text, ok := concatenation(node); ok {
				all = append(all, message(set, file, node, text)...)
				return false
			}
		case *ast.BasicLit:
			if text, ok := concatenation(node); ok {
				all = append(all, message(set, file, node, text)...)
			}
		}
		return true
	})
	return all
}

// message leaves out strings of fewer than three words, which are keys, names and formats.
func message(set *token.FileSet, file string, node ast.Node, text string) []passage {
	if len(strings.Fields(text)) < 3 {
		return nil
	}
	return []passage{{file, set.Position(node.Pos()).Line, text}}
}

// concatenation joins the literals of a sum of strings, with a mark in the place of the rest.
func concatenation(expression ast.Expr) (string, bool) {
	switch expression := expression.(type) {
	case *ast.BasicLit:
		if expression.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(expression.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, hasLeft := concatenation(expression.X)
		right, hasRight := concatenation(expression.Y)
		if expression.Op != token.ADD || !hasLeft && !hasRight {
			return "", false
		}
		if !hasLeft {
			left = "…"
		}
		if !hasRight {
			right = "…"
		}
		return left + right, true
	}
	return "", false
}
