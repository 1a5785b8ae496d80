-- What is listed by the latest whole list of a vendor (dataset symbols): a row that this list lacks has `gone_at`.
-- name: listed
SELECT symbol, kind, exchange FROM symbols WHERE provider = ? AND status = 'active' AND gone_at IS NULL

-- All that the lists say of some symbols; what a search has found says nothing of a listing.
-- name: of_symbols
SELECT provider, symbol, status, {ms:gone_at}, CAST(delisted AS TEXT), name, vendor_id FROM symbols
WHERE symbol {among} AND status <> 'found'

-- name: with_ids
SELECT provider, vendor_id, symbol, name FROM symbols WHERE vendor_id {among} AND status = 'active' AND gone_at IS NULL
ORDER BY symbol
