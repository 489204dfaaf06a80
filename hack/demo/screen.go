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
	"fmt"
	"io"
	"os"
	"strings"
)

// screen is where the demo shows itself.
type screen interface {
	// say prints lines that stay.
	say(text string)
	// tell prints a change that has just been seen, if draw does not show it.
	tell(change string)
	// draw shows the view, in the place of the one before.
	draw(view)
	// hold leaves the last view as it is, so that what is said next stands below it.
	hold()
}

// newScreen is a live one on a terminal that can do more than print, and plain lines
// elsewhere and for people who want no escape codes (no-color.org).
func newScreen(out *os.File) screen {
	if _, _, ok := terminalSize(out); !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return plainScreen{out}
	}
	return &liveScreen{out: out, size: func() (width, height int) {
		width, height, _ = terminalSize(out)
		return width, height
	}}
}

// plainScreen prints one line for each change.
type plainScreen struct{ out io.Writer }

func (s plainScreen) say(text string)    { fmt.Fprintln(s.out, text) }
func (s plainScreen) tell(change string) { fmt.Fprintln(s.out, change) }
func (s plainScreen) draw(view)          {}
func (s plainScreen) hold()              {}

// liveScreen draws the view again and again, below what has been said.
type liveScreen struct {
	out  io.Writer
	size func() (width, height int)
	// width is that of the terminal when the view was drawn; drawn counts its lines.
	width, drawn int
	// last is what was drawn.
	last string
}

func (s *liveScreen) say(text string) { fmt.Fprintln(s.out, text) }

func (s *liveScreen) tell(string) {}

func (s *liveScreen) draw(v view) {
	width, height := s.size()
	if width < 1 || height < 1 { // some terminals do not tell
		width, height = 80, 24
	}
	lines := v.lines(width, height)
	var frame strings.Builder
	for _, each := range lines {
		frame.WriteString(each.ansi())
		frame.WriteString("\x1b[K\r\n")
	}
	if frame.String() == s.last && width == s.width {
		return // somebody may be marking text with the mouse
	}
	switch {
	case s.drawn > 0 && width != s.width:
		fmt.Fprint(s.out, "\x1b[2J\x1b[H") // the old lines have been wrapped anew
	case s.drawn > 0:
		fmt.Fprintf(s.out, "\x1b[%dA\r", s.drawn)
	}
	fmt.Fprint(s.out, "\x1b[?25l", frame.String(), "\x1b[J\x1b[?25h")
	s.width, s.drawn, s.last = width, len(lines), frame.String()
}

func (s *liveScreen) hold() { s.drawn, s.last = 0, "" }
