// Skeleton reads the Go files below a folder and prints, as JSON, their syntax trees with every string literal left
// blank, and the values of those literals.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// reading is what is found in the files, in the order of their names.
type reading struct {
	Skeleton []string `json:"skeleton"`
	Strings  []string `json:"strings"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: skeleton folder")
	}
	found := reading{Skeleton: []string{}, Strings: []string{}}
	err := filepath.WalkDir(os.Args[1], func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		return found.read(path)
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

// read adds a file: each node by its kind and depth, with names, operators and other literals; the comments by their
// number of lines.
func (r *reading) read(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	r.Skeleton = append(r.Skeleton, filepath.Base(path))
	depth := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if node == nil {
			depth--
			return false
		}
		r.Skeleton = append(r.Skeleton, strings.Repeat(" ", depth)+r.describe(node))
		depth++
		return true
	})
	for _, group := range file.Comments {
		r.Skeleton = append(r.Skeleton, fmt.Sprintf("%d lines of comment", len(group.List)))
	}
	return nil
}

// describe puts a node in a word or two, and keeps the value of a string literal.
func (r *reading) describe(node ast.Node) string {
	switch node := node.(type) {
	case *ast.Ident:
		return "name " + node.Name
	case *ast.BasicLit:
		if node.Kind != token.STRING {
			return node.Kind.String() + " " + node.Value
		}
		value, err := strconv.Unquote(node.Value)
		if err != nil {
			log.Fatalf("%s: %v", node.Value, err)
		}
		r.Strings = append(r.Strings, value)
		return "STRING"
	case *ast.BinaryExpr:
		return "binary " + node.Op.String()
	case *ast.UnaryExpr:
		return "unary " + node.Op.String()
	case *ast.AssignStmt:
		return "assign " + node.Tok.String()
	case *ast.BranchStmt:
		return "branch " + node.Tok.String()
	default:
		return fmt.Sprintf("%T", node)
	}
}
