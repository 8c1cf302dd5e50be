"""The deterministic ERP core: the only part of Countersign that changes orders, stock, money and cases."""
