"""The wing of exports: what a spec asks for, written for a program that issues by itself."""
