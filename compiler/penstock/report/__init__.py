"""What the compiler found out, as report.json and report.html."""
