# SPDX-License-Identifier: MIT
"""The tables of the tracking benchmark, made of output that is known."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tracking import boot, table  # noqa: E402


def result(name, text):
    found = boot.Result(name, "a72")
    for line in text.splitlines():
        found.take(line + "\r\n")
    return found


GODWIT = """
(gw) noise
cost pages write_fault 150.250 instructions
cost pages faults_write 1.000 faults
cost pages enable 7.000 instructions
cost pages first_harvest 1.000 instructions
cost pages faults_after_disable 0.000 faults
cost pages first_write_after_disable 0.000 instructions
Test result: PASSqemu: warning
"""
KVM = """
kernel 6.1.0-1-arm64 #1 SMP
cost plain/pages write_fault 3000.000 instructions
cost plain/pages enable 50.000 instructions
cost plain/pages first_harvest 1.000 instructions
cost plain/pages first_write_after_disable 3500.000 instructions
cost manual/pages write_fault 4000.000 instructions
cost manual/pages enable 0.500 instructions
absent ring/pages
Test result: PASS
"""


class Table(unittest.TestCase):
    def columns(self, kvm=KVM, godwit=GODWIT):
        return table.columns_of([result("kvm-6.12", kvm), result("kvm-6.1", kvm), result("godwit-fault", godwit)])

    def row(self, columns, quantity, layout="pages"):
        at = [(q, l) for q, l, _ in table.LINES].index((quantity, layout))
        return table.lines_of(columns)[1][at]

    def test_reads_output(self):
        found = result("kvm-6.1", KVM)
        self.assertEqual(found.verdict, "PASS")
        self.assertEqual(found.kernel, "6.1.0-1-arm64, #1 SMP")
        self.assertEqual(found.costs["manual/pages"], {"write_fault": 4000.0, "enable": 0.5})
        self.assertNotIn("ring/pages", found.costs)

    def test_order_of_columns(self):
        self.assertEqual([c.heading() for c in self.columns()],
                         [("Godwit", "fault"), ("KVM 6.1", "plain"), ("KVM 6.1", "manual"),
                          ("KVM 6.12", "plain"), ("KVM 6.12", "manual")])

    def test_ratio_is_that_of_the_best(self):
        self.assertEqual(self.row(self.columns(), "write_fault")[1:3], ["150.2 (20x)", "3000"])
        self.assertEqual(self.row(self.columns(), "first_write_after_disable")[1:3], ["0 (inf)", "3500"])
        self.assertEqual(table.ratio(4.0, 1.0), "0.25x")
        self.assertEqual(table.ratio(0, 0), "=")
        self.assertEqual(table.ratio(None, 1.0), "-")

    def test_aims(self):
        self.assertEqual([(q, v, a) for _, q, _, v, a in table.misses(self.columns())], [("enable", 7.0, 6)])
        self.assertTrue(self.row(self.columns(), "enable")[-1].endswith("6 missed"))
        self.assertTrue(self.row(self.columns(), "write_fault")[-1].endswith("200"))

    def test_sums_need_all_their_parts(self):
        plain, manual = self.columns()[1:3]
        self.assertEqual(plain.value("arm", "pages"), 51.0)
        self.assertIsNone(manual.value("arm", "pages"))

    def test_a_wrong_log_voids_its_costs(self):
        kvm = KVM + "void plain/pages dense: 1 pages lost, 0 reported without a write\n"
        columns = self.columns(kvm)
        self.assertIsNone(columns[1].value("write_fault", "pages"))
        self.assertEqual(self.row(columns, "write_fault")[1:4], ["150.2 (27x)", "void", "4000"])
        self.assertIn("1 pages lost", table.text_table("a72", columns))

    def test_markdown_has_the_same_cells(self):
        text = table.markdown_table("a72", self.columns())
        self.assertEqual(len({line.count("|") for line in text.splitlines()}), 1)
        self.assertIn("| 150.2 (20x) | 3000 |", text)


if __name__ == "__main__":
    unittest.main()
