package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// visitor walks a file and makes its mutants:
//
//	negate a condition, of if, for, case, or of a returned bool
//	< and <=, > and >=, == and !=, && and ||, + and -, * and /
//	drop an operand of && or ||
//	true and false; a number one more, a time twice as long
//	remove a statement
//	return at once, with zero values
type visitor struct {
	*file
	parent ast.Node
}

// Visit implements ast.Visitor.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case nil, *ast.ArrayType, *ast.CommentGroup:
		return nil
	case *ast.GenDecl:
		if n.Tok != token.VAR {
			return nil
		}
	case *ast.FuncDecl:
		v.returnAtOnce(n)
	case *ast.BlockStmt:
		v.removals(n.List)
	case *ast.CaseClause:
		v.removals(n.Body)
	case ast.Expr:
		if v.constant(n) {
			return nil
		}
		if _, isType := n.(*ast.FuncType); isType || v.info.Types[n].IsType() {
			return nil
		}
		v.expr(n)
	}
	return visitor{v.file, n}
}

func (v visitor) returnAtOnce(fn *ast.FuncDecl) {
	if fn.Body == nil || len(fn.Body.List) == 0 {
		return
	}
	var zeros []string
	if fn.Type.Results != nil {
		for _, r := range fn.Type.Results.List {
			for range max(1, len(r.Names)) {
				zeros = append(zeros, "*new("+v.code(r.Type)+")")
			}
		}
	}
	id := v.add(fn, "%s returns at once", fn.Name.Name)
	v.insert(fn.Body.Lbrace+1, false, fmt.Sprintf(" if _m(%d) { return %s };", id, strings.Join(zeros, ", ")))
}

// removals removes the statements of a list, each as far as the rest compiles
// without it.
func (v visitor) removals(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && v.code(call.Fun) == "panic" {
				continue
			}
		case *ast.IncDecStmt, *ast.BranchStmt:
		case *ast.ReturnStmt:
			if len(s.Results) > 0 {
				continue
			}
		default:
			continue
		}
		id := v.add(s, "remove %s", v.short(s))
		v.wrap(s, fmt.Sprintf("if !_m(%d) { ", id), " }")
	}
}

func (v visitor) expr(n ast.Expr) {
	if v.isCondition(n) {
		id := v.add(n, "negate %s", v.short(n))
		v.wrap(n, fmt.Sprintf("_m(%d) != (", id), ")")
	}
	switch n := n.(type) {
	case *ast.BinaryExpr:
		v.binary(n)
	case *ast.UnaryExpr:
		if n.Op == token.NOT && !v.isCondition(n) {
			id := v.add(n, "%s without its !", v.short(n))
			v.wrap(n, fmt.Sprintf("(_m(%d) != ", id), ")")
		}
	}
}

// isCondition says whether an expression decides by itself what comes next.
func (v visitor) isCondition(n ast.Expr) bool {
	switch p := v.parent.(type) {
	case *ast.IfStmt:
		return p.Cond == n
	case *ast.ForStmt:
		return p.Cond == n
	case *ast.CaseClause:
		basic, ok := v.info.TypeOf(n).Underlying().(*types.Basic)
		return ok && basic.Info()&types.IsBoolean != 0 && slices.Contains(p.List, n)
	case *ast.ReturnStmt:
		_, isCall := n.(*ast.CallExpr)
		return isCall && types.Identical(v.info.TypeOf(n), types.Typ[types.Bool])
	}
	return false
}

// others are what an operator is changed to.
func others(op token.Token) token.Token {
	return map[token.Token]token.Token{
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
		token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
		token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	}[op]
}

func (v visitor) binary(n *ast.BinaryExpr) {
	op := others(n.Op)
	equality := n.Op == token.EQL || n.Op == token.NEQ
	basic, ok := v.info.TypeOf(n).Underlying().(*types.Basic)
	if op == token.ILLEGAL || equality && v.isCondition(n) || !ok || basic.Info()&types.IsString != 0 {
		return
	}
	name := v.typeName(types.Default(v.info.TypeOf(n)))
	if name == "" {
		return
	}
	other := v.code(n.X) + " " + op.String() + " " + v.code(n.Y)
	id := v.add(n, "%s: %s for %s", v.short(n), op, n.Op)
	v.wrap(n, fmt.Sprintf("_either(%d, func() %s { return %s }, func() %s { return ", id, name, other, name), "})")
	if n.Op == token.LAND || n.Op == token.LOR {
		v.drop(n, n.X)
		v.drop(n, n.Y)
	}
}

// drop lets an operand of && or || be as if it weren't there.
func (v visitor) drop(n *ast.BinaryExpr, operand ast.Expr) {
	if inner, ok := operand.(*ast.BinaryExpr); ok && inner.Op == n.Op {
		return
	}
	id := v.add(operand, "drop %s", v.short(operand))
	if n.Op == token.LAND {
		v.wrap(operand, fmt.Sprintf("(_m(%d) || (", id), "))")
	} else {
		v.wrap(operand, fmt.Sprintf("(!_m(%d) && (", id), "))")
	}
}

// constant changes a constant, and says whether the node is one.
func (v visitor) constant(n ast.Expr) bool {
	t := v.info.Types[n]
	if t.Value == nil {
		return false
	}
	basic, ok := t.Type.Underlying().(*types.Basic)
	name := v.typeName(types.Default(t.Type))
	if !ok || name == "" || v.mustBeConstant(n) {
		return true
	}
	switch {
	case basic.Info()&types.IsBoolean != 0:
		id := v.add(n, "not %s", v.short(n))
		v.wrap(n, fmt.Sprintf("(_m(%d) != ", id), ")")
	case basic.Info()&types.IsNumeric != 0:
		by, add, what := 1, "1", "%s + 1"
		if name == "time.Duration" && constant.Sign(t.Value) == 0 {
			add, what = "1e9", "%s + 1 s"
		} else if name == "time.Duration" {
			by, add, what = 2, "0", "2 * %s"
		}
		id := v.add(n, what, v.short(n))
		v.wrap(n, fmt.Sprintf("_change(%d, %s(", id, name), fmt.Sprintf("), %d, %s)", by, add))
	}
	return true
}

// mustBeConstant says that the place takes no variable.
func (v visitor) mustBeConstant(n ast.Expr) bool {
	pair, ok := v.parent.(*ast.KeyValueExpr)
	return ok && pair.Key == n && v.info.Types[n].Value != nil && isInteger(v.info.TypeOf(n))
}

func isInteger(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsInteger != 0
}
