"""The parts of `scripts/benchmark quality`: cells, data, results, tests of differences, tables, pictures, page."""
