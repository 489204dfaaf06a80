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
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func sample() view {
	v := view{
		scene:  "All is quiet.",
		listed: listing{[]string{"NAME", "ENDPOINTS"}, []string{"legacy-api", "1/2"}},
		rows: []row{
			{address: "192.0.2.10", zone: "zone-a", up: true, published: alive, health: "Healthy"},
			{address: "2001:db8::20", zone: "zone-b", published: dead, health: "ConnectionRefused"},
			{address: "192.0.2.30", zone: "zone-c", absent: true},
		},
	}
	for i := range 20 {
		v.news = append(v.news, fmt.Sprintf("news %d", i))
	}
	return v
}

func TestViewShowsAllAtOnce(t *testing.T) {
	var got strings.Builder
	for _, each := range sample().lines(100, 40) {
		for _, piece := range each {
			got.WriteString(piece.text)
		}
		got.WriteString("\n")
	}
	want := `NOW  All is quiet.

ADDRESS       ZONE    BACKEND  READY  SERVING  TERMINATING  HEALTH
192.0.2.10    zone-a  up       true   true     false        Healthy
2001:db8::20  zone-b  down     false  false    false        ConnectionRefused
192.0.2.30    zone-c  down     -      -        -            

$ kubectl get extsvc
NAME        ENDPOINTS
legacy-api  1/2

LATELY  (scroll up for commands to try; Ctrl-C ends the demo)
news 10
news 11
news 12
news 13
news 14
news 15
news 16
news 17
news 18
news 19
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestViewWithoutTheObject(t *testing.T) {
	v := sample()
	v.listed = listing{}
	var found bool
	for _, each := range v.lines(100, 40) {
		found = found || each.ansi() == "No resources found in integration namespace."
	}
	if !found {
		t.Error("does not say what kubectl says of nothing")
	}
}

func TestViewFitsTheTerminal(t *testing.T) {
	for _, size := range []struct{ width, height int }{{80, 24}, {40, 16}, {20, 5}, {1, 1}, {200, 14}} {
		lines := sample().lines(size.width, size.height)
		if len(lines) > max(size.height-1, 1) {
			t.Errorf("%d lines on a terminal of %d", len(lines), size.height)
		}
		for _, each := range lines {
			var length int
			for _, piece := range each {
				length += utf8.RuneCountInString(piece.text)
			}
			if length > size.width-1 {
				t.Errorf("%d characters on a terminal of %d", length, size.width)
			}
		}
	}
}

func TestLineIsCutBetweenCharacters(t *testing.T) {
	got := line{{"größe", bold}, {" über alles", plain}}.cut(7)
	if text := got.ansi(); text != "\x1b[1mgröße\x1b[0m ü" {
		t.Errorf("got %q", text)
	}
}

func TestPlainScreenHasNoEscapeCodes(t *testing.T) {
	var out bytes.Buffer
	s := plainScreen{&out}
	s.say("said")
	s.tell("told")
	s.draw(sample())
	s.hold()
	if got := out.String(); got != "said\ntold\n" {
		t.Errorf("got %q", got)
	}
}

func TestScreenIsPlainWhereThereIsNoTerminal(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if _, ok := newScreen(write).(plainScreen); !ok {
		t.Error("draws into a pipe")
	}
}

func TestLiveScreenDrawsInPlace(t *testing.T) {
	var out bytes.Buffer
	width := 100
	s := &liveScreen{out: &out, size: func() (int, int) { return width, 40 }}
	taken := func() string {
		defer out.Reset()
		return out.String()
	}
	v := sample()
	s.draw(v)
	if got := taken(); strings.Contains(got, "A\r") || !strings.Contains(got, "\x1b[31mdown\x1b[0m") {
		t.Errorf("the first view: %q", got)
	}
	s.draw(v)
	if got := taken(); got != "" {
		t.Errorf("drew the same again: %q", got)
	}
	v.scene = "Something happens."
	s.draw(v)
	if got := taken(); !strings.HasPrefix(got, "\x1b[22A\r") {
		t.Errorf("does not begin at the top of the view before: %q", got)
	}
	width = 50
	s.draw(v)
	if got := taken(); !strings.HasPrefix(got, "\x1b[2J") {
		t.Errorf("does not clear a terminal of another width: %q", got)
	}
	s.hold()
	s.draw(v)
	if got := taken(); strings.HasPrefix(got, "\x1b[22A") {
		t.Errorf("draws over what it was to leave: %q", got)
	}
}
